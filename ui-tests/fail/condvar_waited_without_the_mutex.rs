// A condition waited for without a guard of the mutex: lock it, look whether there is something to wait for, and wait.
use mpisync::{Condvar, Mutex};

fn main() {
    let mut ready = Mutex::local_with(0u8);
    let condition = Condvar::local();
    condition.wait(&mut ready);
}
