// A guard that is kept after its closure: do in the closure what needs the lock.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let guard = ctrl.write_with(|guard| guard);
    drop(guard.read());
}
