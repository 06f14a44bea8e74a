// A guard moved to another thread: a lock belongs to the thread of the rank that acquired it, so lock and compute there.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let writing = ctrl.write();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(writing));
    });
}
