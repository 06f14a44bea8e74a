// A rank for the body of a `collective`, which every rank runs: write `single_write(rank = 1)`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::collective(rank = 1)]
fn step(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
