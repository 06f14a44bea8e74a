//! Inside a write guard: reading, writing, and letting readers in without releasing the lock.

use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let mut writing = ctrl.write();
    drop(writing.read());
    {
        let mut inner = writing.write();
        drop(inner.write());
        drop(inner.read());
    }
    let reading = writing.downgrade();
    drop(reading);
    assert!(ctrl.try_write().is_some(), "the lock is free again");
}
