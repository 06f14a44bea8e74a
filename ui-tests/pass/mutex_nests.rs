//! Guards inside a mutex guard, passed to functions that take a guard.

use mpisync::Mutex;
use mpisync::sync::ReborrowedMutexGuard;

fn add(mut total: ReborrowedMutexGuard<'_, u64>, depth: u64) {
    *total += depth;
    if depth > 0 {
        add(total.reborrow(), depth - 1);
    }
}

fn main() {
    let mut mutex = Mutex::local_with(0u64);
    let mut total = mutex.lock();
    add(total.reborrow(), 3);
    add(total.reborrow(), 1);
    assert_eq!(*total, 7);
    drop(total);
    assert!(mutex.try_lock().is_some(), "the lock is free again");
}
