// A second lock on the rank that holds it, which at run time would wait for itself: make a guard from the first one,
// `first.reborrow()`.
use mpisync::Mutex;

fn main() {
    let mut mutex = Mutex::local();
    let first = mutex.lock();
    let second = mutex.lock();
    drop((first, second));
}
