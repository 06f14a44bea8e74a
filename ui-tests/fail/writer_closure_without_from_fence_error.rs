// An error type that cannot represent the failure of another rank: implement `From<CollectiveError>` for it.
use std::num::ParseIntError;

use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let columns: Result<u32, ParseIntError> = ctrl.single_write().run(|_| "3".parse());
    columns.unwrap();
}
