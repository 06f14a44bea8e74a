// A write lock inside of `run`, where the rank holds it already: leave it out, here one writes alone.
use mpisync::{CollectiveError, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    let outcome: Result<u32, CollectiveError> = ctrl.single_write().run(|ctrl| {
        let _writing = ctrl.write();
        Ok(1)
    });
    outcome.unwrap();
}
