// A rank below 0: ranks count from 0.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write(rank = -1)]
fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
