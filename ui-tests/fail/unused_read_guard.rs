// A read guard that nobody keeps, so that the lock is let go at once: bind it, `let _guard = ctrl.read();`.
#![deny(unused_must_use)]

use mpisync::WindowController;

fn main() {
    let ctrl = WindowController::local();
    ctrl.read();
}
