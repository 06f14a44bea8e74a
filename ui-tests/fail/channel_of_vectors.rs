// Items in the memory of one process: use an array, or share them through a fence.
use mpisync::RemoteChannel;

fn main() {
    let _channel = RemoteChannel::<Vec<f64>>::local(8);
}
