//! From reading to writing: `upgrade` releases the lock in between, and consumes the read guard.

use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let reading = ctrl.read();
    let writing = reading.upgrade().expect("this rank has no other guard");
    drop(writing);

    let (first, second) = (ctrl.read(), ctrl.read());
    let refused = first.upgrade();
    assert!(refused.is_err(), "the second guard would wait for itself");
    drop((refused, second));
    assert!(ctrl.try_write().is_some(), "no guard is left");
}
