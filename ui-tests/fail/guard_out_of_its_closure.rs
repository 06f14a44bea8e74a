// A guard that is kept after its closure: do everything that needs the lock in the closure.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let guard = ctrl.write_with(|guard| guard);
    drop(guard.read());
}
