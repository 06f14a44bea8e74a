// A read guard that is not bound, so the lock is released at once: bind it, `let _guard = ctrl.read();`.
#![deny(unused_must_use)]

use mpisync::WindowController;

fn main() {
    let ctrl = WindowController::local();
    ctrl.read();
}
