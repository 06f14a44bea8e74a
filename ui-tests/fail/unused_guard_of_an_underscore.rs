// A guard that is dropped at once: write `let _guard = ctrl.write();`, or call `ctrl.write_with(…)`.
#![deny(let_underscore_drop)]

use mpisync::{Region, WindowController};

fn main() {
    let mut ctrl = WindowController::local();
    let _ = ctrl.write();
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let _ = field.write();
}
