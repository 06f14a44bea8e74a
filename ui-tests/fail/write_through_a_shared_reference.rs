// A write lock through `&WindowController`: take the controller as `&mut WindowController`.
use mpisync::WindowController;

fn save(ctrl: &WindowController) {
    drop(ctrl.write());
}

fn main() {
    save(&WindowController::local());
}
