// A string as error type, which cannot be made from a `CollectiveError`: return `anyhow::Result`, or an error type of your own.
use mpisync::WindowController;

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) -> Result<u32, String> {
    Ok(3)
}

fn main() {}
