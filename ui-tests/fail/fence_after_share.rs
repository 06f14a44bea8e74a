// A fence used after `share`, when the lock is released: use it before.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => {
            let value = fence.share(1);
            println!("rank {} wrote", fence.controller().rank());
            value
        }
        Access::Excluded(fence) => fence.collect(),
    }
    .unwrap();
}
