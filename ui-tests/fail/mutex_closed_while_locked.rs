// A mutex closed while this rank holds it: drop the guard first.
use mpisync::Mutex;

fn main() {
    let mut mutex = Mutex::local();
    let guard = mutex.lock();
    mutex.close().unwrap();
    drop(guard);
}
