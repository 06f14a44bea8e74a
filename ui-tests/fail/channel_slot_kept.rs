// A slot is this rank's until the closure returns: copy what is needed later.
use mpisync::RemoteChannel;

fn main() {
    let mut channel = RemoteChannel::<u64>::local(1).unwrap();
    let mut kept = None;
    let _ = channel.put_with(|slot| kept = Some(slot));
}
