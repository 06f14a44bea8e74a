// A message put while another one is being filled would wait for it: put it before or after.
use mpisync::RemoteChannel;

fn main() {
    let mut channel = RemoteChannel::<u64>::local(1).unwrap();
    let _ = channel.put_with(|slot| {
        *slot = 1;
        channel.put_with(|other| *other = 2).unwrap();
    });
}
