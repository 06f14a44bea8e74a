// A rank that does not write takes the write lock while another one writes: take it after the `match`.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => fence.share(1),
        Access::Excluded(fence) => {
            drop(ctrl.write());
            fence.collect()
        }
    }
    .unwrap();
}
