// Both attributes on one function: keep `single_write` if one rank does the work, otherwise `collective`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
#[mpisync::collective]
fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
