// An `Access` that nobody looks at, so that no rank writes: `match` on it, or `run` a closure with it.
#![deny(unused_must_use)]

use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    ctrl.single_write();
}
