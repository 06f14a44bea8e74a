// The attribute on an `impl` block: put it on the methods.
use mpisync::{CollectiveError, WindowController};

struct Results {
    ctrl: WindowController,
}

#[mpisync::single_write(ctrl = self.ctrl)]
impl Results {
    fn create(&mut self) -> Result<u32, CollectiveError> {
        Ok(1)
    }
}

fn main() {}
