// A collective call that only the writer makes: make it after the `match`, on all ranks.
use mpisync::{Access, CollectiveError, WindowController};

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    Ok(ctrl.size() as u32)
}

fn create(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    match ctrl.single_write() {
        Access::Writer(fence) => {
            let size = step(ctrl)?;
            fence.share(size)
        }
        Access::Excluded(fence) => fence.collect(),
    }
}

fn main() {}
