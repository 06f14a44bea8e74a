// An unused `Access`, so no rank writes: `match` on it, or call `run` with a closure.
#![deny(unused_must_use)]

use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    ctrl.single_write();
}
