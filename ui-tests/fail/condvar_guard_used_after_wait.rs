// The guard that was given to `wait`, which lets the lock go: go on with the one that it returns.
use mpisync::{Condvar, Mutex};

fn main() {
    let mut ready = Mutex::local_with(0u8);
    let condition = Condvar::local();
    let guard = ready.lock();
    let _again = condition.wait(guard);
    assert_eq!(*guard, 1);
}
