// A task that nobody keeps is open again at once.
#![deny(unused_must_use)]
use mpisync::{Batch, Task};

fn take(batch: &mut Batch) -> Task<'_> {
    batch.next_task().unwrap().unwrap()
}

fn main() {
    let mut batch = Batch::local().tasks(1).build().unwrap();
    take(&mut batch);
}
