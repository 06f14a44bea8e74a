// A read lock beside a write guard: write `writing.read()` to nest it.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let writing = ctrl.write();
    let reading = ctrl.read();
    drop((writing, reading));
}
