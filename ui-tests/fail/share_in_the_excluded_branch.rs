// A rank that does not write shares a value: call `collect` in this branch.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => fence.share(1),
        Access::Excluded(fence) => fence.share(2),
    }
    .unwrap();
}
