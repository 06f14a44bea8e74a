// A function for C that returns a `Result`: put the attribute on a Rust function, and call that one.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
extern "C" fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
