// A wait until no rank has a task, with a task in hand, which would wait for itself: end the task first.
use mpisync::Batch;

fn main() -> Result<(), mpisync::batch::BatchError> {
    let mut batch = Batch::local().tasks(1).build()?;
    if let Some(task) = batch.next_task()? {
        batch.wait_all()?;
        task.done()?;
    }
    Ok(())
}
