// A message taken while this rank reads another one would be taken first: take one after the other, with `take`.
use mpisync::RemoteChannel;

fn main() {
    let mut channel = RemoteChannel::<u64>::local(1).unwrap();
    channel.take_with(|first| channel.take_with(|second| first + second));
}
