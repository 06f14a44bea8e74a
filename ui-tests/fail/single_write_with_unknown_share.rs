// A way to share that does not exist: write `share = serde` or `share = slice`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write(share = bincode)]
fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(1)
}

fn main() {}
