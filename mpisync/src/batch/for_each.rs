//! All tasks of a batch in one call.

use crate::batch::vote::Vote;
use crate::batch::{Again, Batch, BatchError, Summary, Task, Worker};
use crate::share::panic_message;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Batch {
    /// Runs `run` for each task, on all ranks of the worker that takes it, until none is open and
    /// none that may come back is run by another worker of this batch; how it stands then.
    /// Collective.
    ///
    /// A task for which `run` returns an error on any rank has failed, for that reason; one in
    /// which it panics has failed with the panic's message. The others go on: look at the
    /// [`Summary`], or make an error of it by [`all_done`](Summary::all_done), and at the state
    /// directory for the reasons.
    ///
    /// # Errors
    /// Those of [`next_task`](Self::next_task) and [`Task::done`]. They end the work of this rank's
    /// worker, and the other workers go on.
    ///
    /// ```
    /// use mpisync::Batch;
    ///
    /// let mut batch = Batch::local().tasks(10).build()?;
    /// let summary = batch.for_each(|task, _worker| {
    ///     match task.index() {
    ///         7 => Err("seven is not possible"),
    ///         _ => Ok(()),
    ///     }
    /// })?;
    /// assert_eq!((summary.done, summary.failed), (9, 1));
    /// # Ok::<(), mpisync::batch::BatchError>(())
    /// ```
    #[track_caller]
    pub fn for_each<E: Display>(
        &mut self,
        run: impl FnMut(&Task<'_>, &Worker) -> Result<(), E>,
    ) -> Result<Summary, BatchError> {
        self.for_each_with(Again::default(), run)
    }

    /// [`for_each`](Self::for_each) with tasks that are not open, too; see
    /// [`next_task_with`](Self::next_task_with).
    ///
    /// # Errors
    /// Those of [`for_each`](Self::for_each).
    #[track_caller]
    pub fn for_each_with<E: Display>(
        &mut self,
        again: Again,
        mut run: impl FnMut(&Task<'_>, &Worker) -> Result<(), E>,
    ) -> Result<Summary, BatchError> {
        loop {
            let Some(task) = self.next(again, true)? else {
                return self.summary();
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&task, task.worker())));
            let ended = task.end(match outcome {
                Ok(Ok(())) => Vote::Done,
                Ok(Err(error)) => Vote::Failed(format!("{error:#}")),
                Err(panic) => Vote::Failed(panic_message(panic.as_ref())),
            });
            if let Err(error) = ended {
                return Err(self.refuse_next(error));
            }
        }
    }
}
