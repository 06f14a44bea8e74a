// A permit that nobody keeps, so that it goes back at once: bind it, `let _permit = semaphore.acquire();`.
#![deny(unused_must_use)]

use mpisync::Semaphore;

fn main() {
    let semaphore = Semaphore::local(2).unwrap();
    semaphore.acquire();
}
