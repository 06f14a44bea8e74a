// A permit that is not bound, so it is released at once: bind it, `let _permit = semaphore.acquire();`.
#![deny(unused_must_use)]

use mpisync::Semaphore;

fn main() {
    let semaphore = Semaphore::local(2).unwrap();
    semaphore.acquire();
}
