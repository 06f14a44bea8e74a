// A guard that is not bound, so the lock is released at once: bind it, `let _guard = mutex.lock();`.
#![deny(unused_must_use)]

use mpisync::Mutex;

fn main() {
    let mut mutex = Mutex::local();
    mutex.lock();
}
