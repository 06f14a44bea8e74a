// A collective call in a body that one rank runs: make it before or after, on all ranks.
use mpisync::{CollectiveError, WindowController};

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    step(ctrl)
}

fn main() {}
