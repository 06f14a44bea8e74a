// A task that is done and fails as well: it has one outcome.
use mpisync::Batch;

fn main() -> Result<(), mpisync::batch::BatchError> {
    let mut batch = Batch::local().tasks(1).build()?;
    if let Some(task) = batch.next_task()? {
        task.done()?;
        task.failed("too late")?;
    }
    Ok(())
}
