// The field with the controller, used in the body of a method: read it before the call.
use mpisync::{CollectiveError, WindowController};

struct Results {
    ctrl: WindowController,
}

impl Results {
    #[mpisync::single_write(ctrl = self.ctrl)]
    fn create(&mut self) -> Result<i32, CollectiveError> {
        Ok(self.ctrl.rank())
    }
}

fn main() {}
