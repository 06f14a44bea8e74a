// An error type without text for the other ranks: implement `Display` for it.
use mpisync::{CollectiveError, WindowController};

#[derive(Debug)]
struct Failed;

impl From<CollectiveError> for Failed {
    fn from(_: CollectiveError) -> Self {
        Self
    }
}

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) -> Result<u32, Failed> {
    Err(Failed)
}

fn main() {}
