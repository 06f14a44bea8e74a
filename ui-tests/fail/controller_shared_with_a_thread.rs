// A controller used by two threads: make MPI calls and lock on one thread of each rank.
use mpisync::WindowController;

fn main() {
    let ctrl = WindowController::local();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(ctrl.read()));
    });
}
