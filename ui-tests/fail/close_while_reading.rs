// A controller closed while a guard is alive: drop the guard first.
use mpisync::WindowController;

fn main() {
    let ctrl = WindowController::local();
    let reading = ctrl.read();
    ctrl.close().unwrap();
    drop(reading);
}
