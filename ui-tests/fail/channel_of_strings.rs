// A text in the memory of one process: use an array such as `[u8; 32]`, or share it through a fence.
use mpisync::RemoteChannel;

fn main() {
    let _channel = RemoteChannel::<String>::local(8);
}
