// Trying for the write lock while a read guard is alive: drop the guard first, or `upgrade` it.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let reading = ctrl.read();
    if let Some(writing) = ctrl.try_write() {
        drop(writing);
    }
    drop(reading);
}
