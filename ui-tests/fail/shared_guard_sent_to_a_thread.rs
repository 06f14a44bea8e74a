// A guard of a shared controller moved to another thread: let that thread take its own, `shared.read()`.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let shared = ctrl.shared().unwrap();
    let reading = shared.read();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(reading));
    });
}
