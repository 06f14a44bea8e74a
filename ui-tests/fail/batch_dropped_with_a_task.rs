// A batch that goes while a task of it is in hand: finish the task first.
use mpisync::Batch;

fn main() -> Result<(), mpisync::batch::BatchError> {
    let mut batch = Batch::local().tasks(1).build()?;
    if let Some(task) = batch.next_task()? {
        drop(batch);
        task.done()?;
    }
    Ok(())
}
