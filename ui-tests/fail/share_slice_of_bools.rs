// A slice of `bool`, for which not all bits are a value: share `u8` and compare with 0, or share a `Vec<bool>` by `share`.
use mpisync::{Access, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    match ctrl.single_write() {
        Access::Writer(fence) => fence.share_slice(&[true, false]),
        Access::Excluded(fence) => fence.wait(),
    }
    .unwrap();
}
