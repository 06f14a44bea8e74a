// A guard that nobody keeps, so that the lock is let go at once: bind it, `let _guard = mutex.lock();`.
#![deny(unused_must_use)]

use mpisync::Mutex;

fn main() {
    let mut mutex = Mutex::local();
    mutex.lock();
}
