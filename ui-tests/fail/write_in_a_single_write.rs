// A write lock in the body of a `single_write`, which holds it already: remove it.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    let _writing = ctrl.write();
    Ok(1)
}

fn main() {}
