// A rank that is no `i32`, which is what MPI counts ranks with: convert it.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write(rank = root)]
fn create(ctrl: &mut WindowController, root: usize) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
