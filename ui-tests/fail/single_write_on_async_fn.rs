// An `async fn` that waits for other ranks: remove `async`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
async fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(ctrl.size() as u32)
}

fn main() {}
