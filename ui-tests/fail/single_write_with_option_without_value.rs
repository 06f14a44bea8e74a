// An option without its value: write `rank = 1`.
use mpisync::{FenceError, WindowController};

#[mpisync::single_write(rank)]
fn create(ctrl: &mut WindowController) -> Result<u32, FenceError> {
    Ok(1)
}

fn main() {}
