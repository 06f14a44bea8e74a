// A wait with a guard that is lent: wait with the guard that it comes from, `guard = changed.wait(guard)`.
use mpisync::{Condvar, Mutex};

fn main() {
    let mut mutex = Mutex::local_with(0u32);
    let changed = Condvar::local();
    let mut guard = mutex.lock();
    changed.wait(guard.reborrow());
}
