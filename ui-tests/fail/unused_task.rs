// A task that is not bound, so it is open again at once: bind it, and end it with `done` or `failed`.
#![deny(unused_must_use)]
use mpisync::{Batch, Task};

fn take(batch: &mut Batch) -> Task<'_> {
    batch.next_task().unwrap().unwrap()
}

fn main() {
    let mut batch = Batch::local().tasks(1).build().unwrap();
    take(&mut batch);
}
