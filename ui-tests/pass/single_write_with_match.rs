//! One rank writes, all ranks return its value: the `match` form.

use mpisync::{Access, CollectiveError, WindowController};

fn create(ctrl: &mut WindowController, columns: u32) -> Result<Vec<u32>, CollectiveError> {
    match ctrl.single_write() {
        Access::Writer(fence) => {
            let rank = fence.controller().rank();
            assert_eq!(rank, fence.controller().master());
            fence.share(vec![columns; 3])
        }
        Access::Excluded(fence) => fence.collect(),
    }
}

fn main() {
    let mut ctrl = WindowController::local();
    assert_eq!(create(&mut ctrl, 4).unwrap(), [4, 4, 4]);
    assert_eq!(create(&mut ctrl, 5).unwrap(), [5, 5, 5]);
}
