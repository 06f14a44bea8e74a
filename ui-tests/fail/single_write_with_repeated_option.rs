// An option given twice: keep one of the two.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write(rank = 0, rank = 1)]
fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
