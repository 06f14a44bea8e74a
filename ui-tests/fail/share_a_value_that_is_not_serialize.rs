// A shared value that cannot be serialized: derive `serde::Serialize` and `serde::Deserialize` for it.
use mpisync::{Access, CollectiveError, WindowController};

struct Header {
    columns: usize,
}

fn create(ctrl: &mut WindowController) -> Result<(), CollectiveError> {
    match ctrl.single_write() {
        Access::Writer(fence) => {
            let header = fence.share(Header { columns: 3 })?;
            println!("{}", header.columns);
            Ok(())
        }
        Access::Excluded(fence) => fence.wait(),
    }
}

fn main() {
    create(&mut WindowController::local()).unwrap();
}
