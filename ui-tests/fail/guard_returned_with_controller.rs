// A guard returned out of the function that made its controller: return the controller and lock it there.
use mpisync::{ReadGuard, WindowController};

fn locked<'a>() -> ReadGuard<'a> {
    let ctrl = WindowController::local();
    ctrl.read()
}

fn main() {
    drop(locked());
}
