//! A batch with all outcomes of a task, and a helper that takes a task by value.

use mpisync::batch::{BatchError, State};
use mpisync::{Batch, Task};

fn run(task: Task<'_>) -> Result<(), BatchError> {
    match task.index() {
        0 => task.done(),
        1 => task.failed("one is no prime"),
        _ => {
            // The batch is accessible while the task is in hand.
            assert_eq!(task.batch().state(0)?, State::Done);
            task.done()
        }
    }
}

fn main() -> Result<(), BatchError> {
    let mut batch = Batch::local().names(["zero", "one", "two"]).build()?;
    while let Some(task) = batch.next_task()? {
        run(task)?;
    }
    batch.set_state(0, State::Open)?;
    batch.set_state(2, State::Open)?;
    while let Some(mut tasks) = batch.next_tasks(8)? {
        assert_eq!(tasks[0].batch().summary()?.running, 2);
        // In any order, and each by value.
        let last = tasks.pop().expect("there are two");
        assert_eq!((last.index(), tasks.len()), (2, 1));
        last.done()?;
        tasks.into_iter().try_for_each(run)?;
    }
    batch.set_state(1, State::Open)?;
    let summary = batch.for_each(|task, worker| {
        assert_eq!((task.name().as_str(), worker.size()), ("one", 1));
        Ok::<(), String>(())
    })?;
    assert!(summary.is_over());
    assert_eq!(summary.done, 3);
    Ok(())
}
