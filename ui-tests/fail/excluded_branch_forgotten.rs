// A `match` without the ranks that do not write: add `Access::Excluded(fence) => fence.collect()`.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => fence.share(1).unwrap(),
    };
}
