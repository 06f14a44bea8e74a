// A controller that has no name: write `ctrl: &mut WindowController`.
use mpisync::{FenceError, WindowController};

#[mpisync::single_write]
fn create(_: &mut WindowController) -> Result<u32, FenceError> {
    Ok(1)
}

fn main() {}
