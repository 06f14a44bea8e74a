// References into the memory of one process: send the value itself, an array for a text.
use mpisync::RemoteChannel;

fn main() {
    let _channel = RemoteChannel::<&'static f64>::local(8);
}
