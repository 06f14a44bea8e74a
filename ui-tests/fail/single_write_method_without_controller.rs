// A method whose controller is not named: write `#[single_write(ctrl = self.ctrl)]`.
use mpisync::{CollectiveError, WindowController};

struct Results {
    ctrl: WindowController,
}

impl Results {
    #[mpisync::single_write]
    fn create(&mut self) -> Result<u32, CollectiveError> {
        Ok(1)
    }
}

fn main() {}
