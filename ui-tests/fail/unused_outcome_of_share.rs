// An ignored outcome of `share`, which may have failed: end with `?`.
#![deny(unused_must_use)]

use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => {
            fence.share(1);
        }
        Access::Excluded(fence) => fence.wait().unwrap(),
    }
}
