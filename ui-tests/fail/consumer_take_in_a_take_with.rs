// A message taken while this rank reads another one would be taken first: take one after the other, with `take`.
use mpisync::RemoteChannel;

fn main() {
    let (_producer, mut consumer) = RemoteChannel::<u64>::local(1).unwrap().split();
    consumer.take_with(|first| consumer.take().map(|second| first + second));
}
