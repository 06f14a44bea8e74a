// A result that borrows, which has no owner on the other ranks: return an owned value, here a `String`.
use mpisync::{FenceError, WindowController};

#[mpisync::single_write]
fn create<'a>(ctrl: &mut WindowController, name: &'a str) -> Result<&'a str, FenceError> {
    Ok(name)
}

fn main() {}
