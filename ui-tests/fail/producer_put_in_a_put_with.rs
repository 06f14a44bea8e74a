// A message put while another one is being filled would wait for it: put it before or after.
use mpisync::RemoteChannel;

fn main() {
    let (mut producer, _consumer) = RemoteChannel::<u64>::local(1).unwrap().split();
    let _ = producer.put_with(|slot| {
        *slot = 1;
        producer.put(2).unwrap();
    });
}
