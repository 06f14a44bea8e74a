// A message taken while this rank fills the next one may be that one: take the message before.
use mpisync::RemoteChannel;

fn main() {
    let mut channel = RemoteChannel::<u64>::local(1).unwrap();
    let _ = channel.put_with(|slot| *slot = channel.take().unwrap());
}
