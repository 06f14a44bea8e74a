// A controller taken as `&WindowController`: take it as `&mut WindowController`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
fn create(ctrl: &WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
