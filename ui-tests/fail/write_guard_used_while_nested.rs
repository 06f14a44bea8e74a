// The outer write guard used while an inner one is alive: drop the inner one first.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let mut outer = ctrl.write();
    let inner = outer.write();
    let reading = outer.read();
    drop((inner, reading));
}
