// A batch that is dropped while this rank has one of its tasks: end the task first.
use mpisync::Batch;

fn main() -> Result<(), mpisync::batch::BatchError> {
    let mut batch = Batch::local().tasks(1).build()?;
    if let Some(task) = batch.next_task()? {
        drop(batch);
        task.done()?;
    }
    Ok(())
}
