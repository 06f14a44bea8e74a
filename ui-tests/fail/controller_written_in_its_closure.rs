// A second lock inside a closure of the first: write `guard.write()` to nest it.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    ctrl.write_with(|_guard| {
        let _again = ctrl.write();
    });
}
