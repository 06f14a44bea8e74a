// A guard kept longer than its mutex: keep the mutex, and lock when the lock is needed.
use mpisync::{Mutex, MutexGuard};

fn main() {
    let guard: MutexGuard<'_>;
    {
        let mut mutex = Mutex::local();
        guard = mutex.lock();
    }
    drop(guard);
}
