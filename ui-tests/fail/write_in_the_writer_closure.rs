// A write lock in the closure of `run`, which holds it already: remove it.
use mpisync::{CollectiveError, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    let outcome: Result<u32, CollectiveError> = ctrl.single_write().run(|ctrl| {
        let _writing = ctrl.write();
        Ok(1)
    });
    outcome.unwrap();
}
