// An option without its value: write `rank = 1`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write(rank)]
fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
