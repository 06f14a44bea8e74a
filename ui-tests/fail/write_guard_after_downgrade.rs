// A write guard used after `downgrade`: use the read guard that it returns.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let writing = ctrl.write();
    let reading = writing.downgrade();
    drop(writing.read());
    drop(reading);
}
