// A `const fn` that talks to other ranks: remove `const`.
use mpisync::{FenceError, WindowController};

#[mpisync::single_write]
const fn create(ctrl: &mut WindowController) -> Result<u32, FenceError> {
    Ok(1)
}

fn main() {}
