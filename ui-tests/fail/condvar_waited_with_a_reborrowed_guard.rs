// A wait with a reborrowed guard: wait with the original guard, `guard = changed.wait(guard)`.
use mpisync::{Condvar, Mutex};

fn main() {
    let mut mutex = Mutex::local_with(0u32);
    let changed = Condvar::local();
    let mut guard = mutex.lock();
    changed.wait(guard.reborrow());
}
