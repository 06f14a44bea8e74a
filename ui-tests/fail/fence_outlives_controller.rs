// A fence kept longer than its controller: share or collect while the controller exists.
use mpisync::{Access, WindowController};

fn begin<'a>() -> Access<'a> {
    let mut ctrl = WindowController::local();
    ctrl.single_write()
}

fn main() {
    begin().writer().unwrap();
}
