// A collected value that cannot be made from bytes: derive `serde::Deserialize` for it.
use mpisync::{Access, CollectiveError, WindowController};

#[derive(serde::Serialize)]
struct Header {
    columns: usize,
}

fn create(ctrl: &mut WindowController) -> Result<Header, CollectiveError> {
    match ctrl.single_write() {
        Access::Writer(fence) => fence.share(Header { columns: 3 }),
        Access::Excluded(fence) => fence.collect(),
    }
}

fn main() {
    create(&mut WindowController::local()).unwrap();
}
