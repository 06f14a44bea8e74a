// Both attributes on one function: keep `single_write` when one rank does the work, else `collective`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
#[mpisync::collective]
fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
