// A rank that does not write locks for writing while another one writes: do it after the `match`.
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
