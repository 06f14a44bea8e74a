// A permit of a shared semaphore moved to another thread: let that thread take its own, `shared.acquire()`.
use mpisync::Semaphore;

fn main() {
    let mut semaphore = Semaphore::local(1).unwrap();
    let shared = semaphore.shared().unwrap();
    let permit = shared.acquire();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(permit));
    });
}
