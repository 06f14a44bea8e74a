// A second write lock beside the first one: write `writing.write()` to nest it.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let writing = ctrl.write();
    let again = ctrl.write();
    drop((writing, again));
}
