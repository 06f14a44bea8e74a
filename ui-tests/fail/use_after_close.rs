// A controller used after `close`: close it last.
use mpisync::WindowController;

fn main() {
    let ctrl = WindowController::local();
    ctrl.close().unwrap();
    drop(ctrl.read());
}
