// A task that is ended as done and as failed: end it once.
use mpisync::Batch;

fn main() -> Result<(), mpisync::batch::BatchError> {
    let mut batch = Batch::local().tasks(1).build()?;
    if let Some(task) = batch.next_task()? {
        task.done()?;
        task.failed("too late")?;
    }
    Ok(())
}
