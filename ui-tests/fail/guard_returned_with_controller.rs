// A guard returned from the function that made its controller: return the controller, and lock after the call.
use mpisync::{ReadGuard, WindowController};

fn locked<'a>() -> ReadGuard<'a> {
    let ctrl = WindowController::local();
    ctrl.read()
}

fn main() {
    drop(locked());
}
