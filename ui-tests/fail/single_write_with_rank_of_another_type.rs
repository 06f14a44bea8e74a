// A rank that is no `i32`, the type of MPI's ranks: convert it.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write(rank = root)]
fn create(ctrl: &mut WindowController, root: usize) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
