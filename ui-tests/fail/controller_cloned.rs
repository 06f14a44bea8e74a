// A controller cloned to satisfy the borrow checker: pass it as `&mut WindowController`.
use mpisync::WindowController;

fn main() {
    let ctrl = WindowController::local();
    let mut second = ctrl.clone();
    drop((ctrl.read(), second.write()));
}
