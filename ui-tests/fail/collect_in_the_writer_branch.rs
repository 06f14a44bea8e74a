// The writer collects from itself: call `share` in this branch, which returns the value.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    let value: Result<u32, _> = match ctrl.single_write() {
        Access::Writer(fence) => fence.collect(),
        Access::Excluded(fence) => fence.collect(),
    };
    value.unwrap();
}
