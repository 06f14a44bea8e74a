// A wait for a condition without a guard of the mutex: lock it, check the condition, and wait.
use mpisync::{Condvar, Mutex};

fn main() {
    let mut ready = Mutex::local_with(0u8);
    let condition = Condvar::local();
    condition.wait(&mut ready);
}
