// A fence moved to another thread: share on the thread that called `single_write`.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let fence = ctrl.single_write().writer().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(fence));
    });
}
