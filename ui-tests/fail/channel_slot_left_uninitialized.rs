// A slot has a value from the start: assign to it, or write its parts.
use std::mem::MaybeUninit;

use mpisync::RemoteChannel;

fn main() {
    let mut channel = RemoteChannel::<u64>::local(1).unwrap();
    let _ = channel.put_with(|slot| *slot = MaybeUninit::uninit());
}
