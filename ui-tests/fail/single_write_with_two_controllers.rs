// Two parameters that are controllers: name the one to use, `#[single_write(ctrl = a)]`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
fn create(a: &mut WindowController, b: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
