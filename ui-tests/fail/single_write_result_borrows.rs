// A result that borrows, which has no owner on the other ranks: return an owned value, here a `String`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
fn create<'a>(ctrl: &mut WindowController, name: &'a str) -> Result<&'a str, CollectiveError> {
    Ok(name)
}

fn main() {}
