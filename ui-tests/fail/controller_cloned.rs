// A controller cloned to get around the borrow checker: pass it on as `&mut WindowController`.
use mpisync::WindowController;

fn main() {
    let ctrl = WindowController::local();
    let mut second = ctrl.clone();
    drop((ctrl.read(), second.write()));
}
