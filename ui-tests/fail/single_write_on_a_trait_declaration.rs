// The attribute on a method without body: put it on the method in the `impl`.
use mpisync::{FenceError, WindowController};

trait Store {
    #[mpisync::single_write]
    fn create(&mut self, ctrl: &mut WindowController) -> Result<u32, FenceError>;
}

fn main() {}
