// A guard returned out of a `#[collective]` function, which still needs the controller: lock after the call.
use mpisync::{FenceError, ReadGuard, WindowController};

#[mpisync::collective]
fn lock(ctrl: &mut WindowController) -> Result<ReadGuard<'_>, FenceError> {
    Ok(ctrl.read())
}

fn main() {}
