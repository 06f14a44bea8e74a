// A worker that takes a task while it has one: end the first one, or take both by `next_tasks`.
use mpisync::Batch;

fn main() -> Result<(), mpisync::batch::BatchError> {
    let mut batch = Batch::local().tasks(2).build()?;
    let first = batch.next_task()?;
    let second = batch.next_task()?;
    drop((first, second));
    Ok(())
}
