// A shared controller in a thread that may live longer: write `std::thread::scope`.
use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let shared = ctrl.shared().unwrap();
    std::thread::spawn(|| drop(shared.read()));
}
