// A `#[collective]` function called while a guard is alive: drop the guard first.
use mpisync::{CollectiveError, WindowController};

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<(), CollectiveError> {
    drop(ctrl.read());
    Ok(())
}

fn main() {
    let mut ctrl = WindowController::local();
    let writing = ctrl.write();
    step(&mut ctrl).unwrap();
    drop(writing);
}
