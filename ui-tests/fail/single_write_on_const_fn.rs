// A `const fn` that communicates with other ranks: remove `const`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
const fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
