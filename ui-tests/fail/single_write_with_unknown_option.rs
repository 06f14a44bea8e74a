// An option that `single_write` does not have: write `rank = 1`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write(root = 1)]
fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
