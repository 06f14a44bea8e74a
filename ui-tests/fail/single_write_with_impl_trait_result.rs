// A result whose type has no name: write the type itself instead of `impl Trait`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) -> Result<impl Iterator<Item = u32>, CollectiveError> {
    Ok(vec![1, 2, 3].into_iter())
}

fn main() {}
