// The outer guard used while an inner one is alive: drop the inner one first.
use mpisync::Mutex;

fn main() {
    let mut mutex = Mutex::local_with(1u32);
    let mut outer = mutex.lock();
    let mut inner = outer.reborrow();
    *outer += 1;
    *inner += 1;
}
