// A worker that takes more tasks while it has some of the last ones: end or drop these first.
use mpisync::Batch;

fn main() -> Result<(), mpisync::batch::BatchError> {
    let mut batch = Batch::local().tasks(9).build()?;
    let mut tasks = batch.next_tasks(2)?.unwrap_or_default();
    tasks.extend(batch.next_tasks(2)?.unwrap_or_default());
    Ok(())
}
