// The attribute on a method without body: put it on the method in the `impl`.
use mpisync::{CollectiveError, WindowController};

trait Store {
    #[mpisync::single_write]
    fn create(&mut self, ctrl: &mut WindowController) -> Result<u32, CollectiveError>;
}

fn main() {}
