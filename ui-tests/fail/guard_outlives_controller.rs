// A guard kept longer than its controller: keep the controller, and lock when the lock is needed.
use mpisync::{ReadGuard, WindowController};

fn main() {
    let reading: ReadGuard<'_>;
    {
        let ctrl = WindowController::local();
        reading = ctrl.read();
    }
    drop(reading);
}
