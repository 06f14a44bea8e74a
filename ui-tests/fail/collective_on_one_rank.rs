// A rank for the body of a `collective`, which every rank runs: write `single_write(rank = 1)`.
use mpisync::{FenceError, WindowController};

#[mpisync::collective(rank = 1)]
fn step(ctrl: &mut WindowController) -> Result<u32, FenceError> {
    Ok(1)
}

fn main() {}
