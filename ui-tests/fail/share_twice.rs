// Two values shared through one fence: share a tuple, or make a second `single_write`.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => {
            fence.share(1).unwrap();
            fence.share(2)
        }
        Access::Excluded(fence) => fence.collect(),
    }
    .unwrap();
}
