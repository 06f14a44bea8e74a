// The attribute on an item that is no function: put it on a function or a method.
use mpisync::WindowController;

#[mpisync::single_write]
struct Results {
    ctrl: WindowController,
}

fn main() {}
