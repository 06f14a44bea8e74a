// A slot belongs to this rank until the closure returns: copy the values that are needed later.
use mpisync::RemoteChannel;

fn main() {
    let mut channel = RemoteChannel::<u64>::local(1).unwrap();
    let mut kept = None;
    let _ = channel.put_with(|slot| kept = Some(slot));
}
