// A controller taken as `&WindowController`: take it as `&mut WindowController`.
use mpisync::{FenceError, WindowController};

#[mpisync::single_write]
fn create(ctrl: &WindowController) -> Result<u32, FenceError> {
    Ok(1)
}

fn main() {}
