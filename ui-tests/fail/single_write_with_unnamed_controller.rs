// A controller that has no name: write `ctrl: &mut WindowController`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
fn create(_: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
