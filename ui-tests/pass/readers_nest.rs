//! Several read guards of one rank: it holds the lock until the last one is dropped.

use mpisync::WindowController;

fn main() {
    let mut ctrl = WindowController::local();
    let first = ctrl.read();
    let second = ctrl.read();
    drop(first);
    let third = ctrl.try_read().expect("readers do not keep each other out");
    drop((second, third));
    assert!(ctrl.try_write().is_some(), "no reader is left");
}
