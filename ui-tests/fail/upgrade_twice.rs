// A read guard upgraded twice: `upgrade` consumes it, so use the write guard that it returns.
use mpisync::WindowController;

fn main() {
    let ctrl = WindowController::local();
    let reading = ctrl.read();
    let writing = reading.upgrade().unwrap();
    let again = reading.upgrade().unwrap();
    drop((writing, again));
}
