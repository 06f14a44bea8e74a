// Threads lock a mutex, take permits, count, read a region, and put and take messages.
use mpisync::ndarray::Ix1;
use mpisync::prelude::*;

fn main() {
    let mut sum = Mutex::local_with(0_u64);
    let mut semaphore = Semaphore::local(2).unwrap();
    let counter = Counter::<u64>::local();
    let mut field = Region::<u64, Ix1>::local([3]).unwrap();
    let (mut producer, mut consumer) = RemoteChannel::<u64>::local(4).unwrap().split();
    let (sum, semaphore) = (sum.shared().unwrap(), semaphore.shared().unwrap());
    let (counter, field) = (counter.shared().unwrap(), field.shared().unwrap());
    let (producer, consumer) = (producer.shared().unwrap(), consumer.shared().unwrap());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _permit = semaphore.acquire();
                let items = field.read();
                producer.put(counter.next() + items[0]).unwrap();
                *sum.lock() += consumer.take().unwrap();
            });
        }
    });
    assert_eq!(*sum.lock(), 1);
}
