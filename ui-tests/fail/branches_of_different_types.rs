// The writer shares one type and the others collect another one: let both branches have the same type.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => fence.share(1_u32),
        Access::Excluded(fence) => fence.collect::<String>(),
    }
    .unwrap();
}
