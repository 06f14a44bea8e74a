// A write guard that is not bound, so the lock is released at once: bind it, `let _guard = ctrl.write();`.
#![deny(unused_must_use)]

use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    ctrl.write();
}
