// A guard returned from a `#[collective]` function, which still needs the controller: lock after the call.
use mpisync::{CollectiveError, ReadGuard, WindowController};

#[mpisync::collective]
fn lock(ctrl: &mut WindowController) -> Result<ReadGuard<'_>, CollectiveError> {
    Ok(ctrl.read())
}

fn main() {}
