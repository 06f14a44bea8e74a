// An `async fn` that waits for other ranks: remove `async`.
use mpisync::{FenceError, WindowController};

#[mpisync::single_write]
async fn create(ctrl: &mut WindowController) -> Result<u32, FenceError> {
    Ok(ctrl.size() as u32)
}

fn main() {}
