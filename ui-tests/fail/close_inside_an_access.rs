// A controller closed in the middle of a `single_write`: share first, and close after the `match`.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => {
            ctrl.close().unwrap();
            fence.share(1)
        }
        Access::Excluded(fence) => fence.collect(),
    }
    .unwrap();
}
