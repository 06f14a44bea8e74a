// A write guard that nobody keeps, so that the lock is let go at once: bind it, `let _guard = ctrl.write();`.
#![deny(unused_must_use)]

use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    ctrl.write();
}
