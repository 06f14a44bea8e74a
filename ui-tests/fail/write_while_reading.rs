// A write lock taken while a read guard is alive: drop the guard first, or `upgrade` it.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let reading = ctrl.read();
    let writing = ctrl.write();
    drop((reading, writing));
}
