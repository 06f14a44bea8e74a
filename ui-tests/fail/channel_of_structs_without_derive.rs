// A struct whose bytes are not checked: add `#[derive(Clone, Copy, mpisync::Equivalence)]`.
use mpisync::RemoteChannel;

struct Cell {
    _index: [u32; 2],
}

fn main() {
    let _channel = RemoteChannel::<Cell>::local(8);
}
