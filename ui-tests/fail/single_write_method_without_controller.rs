// A method that does not say where the controller is: write `#[single_write(ctrl = self.ctrl)]`.
use mpisync::{FenceError, WindowController};

struct Results {
    ctrl: WindowController,
}

impl Results {
    #[mpisync::single_write]
    fn create(&mut self) -> Result<u32, FenceError> {
        Ok(1)
    }
}

fn main() {}
