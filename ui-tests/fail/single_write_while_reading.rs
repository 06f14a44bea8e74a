// A collective call while a read guard is alive: drop the guard first, because the writer would wait for it forever.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    let reading = ctrl.read();
    let shared = match ctrl.single_write() {
        Access::Writer(fence) => fence.share(1),
        Access::Excluded(fence) => fence.collect(),
    };
    drop((reading, shared));
}
