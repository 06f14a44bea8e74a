// A message put while this rank reads another one may need its slot: return the new message, and put it after.
use mpisync::RemoteChannel;

fn main() {
    let mut channel = RemoteChannel::<u64>::local(1).unwrap();
    channel.put(1).unwrap();
    channel.take_with(|message| channel.put(message + 1).unwrap());
}
