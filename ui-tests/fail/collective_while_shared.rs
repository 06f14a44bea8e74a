// A collective call while threads may have locks: end the shared use first, `drop(shared)`.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let shared = ctrl.shared().unwrap();
    let writing = ctrl.single_write();
    drop((writing, shared.read()));
}
