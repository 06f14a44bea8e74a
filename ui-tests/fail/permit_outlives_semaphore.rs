// A permit kept longer than its semaphore: keep the semaphore.
use mpisync::{Permit, Semaphore};

fn main() {
    let permit: Permit<'_>;
    {
        let semaphore = Semaphore::local(1).unwrap();
        permit = semaphore.acquire();
    }
    drop(permit);
}
