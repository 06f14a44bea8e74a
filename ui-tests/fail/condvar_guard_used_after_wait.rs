// A guard used after it was passed to `wait`, which releases the lock: use the guard that `wait` returns.
use mpisync::{Condvar, Mutex};

fn main() {
    let mut ready = Mutex::local_with(0u8);
    let condition = Condvar::local();
    let guard = ready.lock();
    let _again = condition.wait(guard);
    assert_eq!(*guard, 1);
}
