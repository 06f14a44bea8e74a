// A collective call that only the writer makes: make it after the `match`, on all ranks.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => {
            let inner = ctrl.single_write().writer().unwrap();
            drop(inner);
            fence.share(1)
        }
        Access::Excluded(fence) => fence.collect(),
    }
    .unwrap();
}
