// A controller used by two threads: lock and call MPI on one thread of each rank, or let threads share it, `ctrl.shared()`.
use mpisync::WindowController;

fn main() {
    let ctrl = WindowController::local();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(ctrl.read()));
    });
}
