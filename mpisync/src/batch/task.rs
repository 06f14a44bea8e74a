//! A task, as the program sees it.

use crate::batch::vote::Vote;
use crate::batch::{Batch, BatchError, State, Worker};
use std::path::PathBuf;
use std::{fmt, thread};

/// A task that this rank's worker has taken; [`Batch::next_task`] returns it on each of the
/// worker's ranks, and [`Batch::next_tasks`] several.
///
/// Each rank of the worker ends it by [`done`](Self::done) or [`failed`](Self::failed). The task is
/// done if all ranks are done, and failed if one fails. A task that is dropped during a panic has
/// failed, with the panic's message in a program that [`run`](crate::run) runs; a destructor knows
/// it only from the panic hook, which `run` sets. One that the worker's first rank drops otherwise,
/// by an early return for example, is open again, for any worker. If the first rank is done and another one has
/// dropped the task, it has failed, and the first rank gets [`BatchError::Dropped`].
#[must_use = "a task that is dropped is open again, with `let _ = …` too; say `done()` or `failed(…)`"]
pub struct Task<'a> {
    batch: &'a Batch,
    /// Among the current tasks of this rank.
    position: usize,
    index: usize,
    was: State,
    attempt: Option<u32>,
}

impl Task<'_> {
    /// The number of the task, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The name that the task was given when the batch was made, or its number.
    pub fn name(&self) -> String {
        self.batch.name_of(self.index)
    }

    /// The state before the task was taken: open, or one that [`Again`](super::Again) requested.
    pub fn was(&self) -> State {
        self.was
    }

    /// The number of this try, counted from 1; `None` unless the batch has a number of
    /// [`tries`](super::BatchBuilder::tries).
    pub fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// The task's folder in the state directory, if the batch has one.
    pub fn directory(&self) -> Option<PathBuf> {
        let root = self.batch.directory.as_ref()?.root();
        Some(root.join(self.name()))
    }

    /// The worker that has the task.
    pub fn worker(&self) -> &Worker {
        self.batch.worker()
    }

    /// The batch. It takes no tasks while this rank has one of them.
    pub fn batch(&self) -> &Batch {
        self.batch
    }

    /// Ends the task on this rank: it is done. Collective in the worker: all its ranks say what
    /// became of the task. The first rank waits for the others and records the state, the others do
    /// not wait.
    ///
    /// # Errors
    /// On the first rank: [`BatchError::RankDied`], [`BatchError::RankLeft`];
    /// [`BatchError::Dropped`] if another rank has dropped the task, which has failed then;
    /// [`BatchError::FileSystem`] if the state cannot be written; [`BatchError::Directory`] if
    /// another job has taken the task over, or if the contents of its folder prevent the writing;
    /// [`BatchError::Overdue`] if the worker had the task for longer than its
    /// [time limit](super::BatchBuilder::task_timeout), which counts as a failure. The task is done only if there is no error; after `RankDied`, `RankLeft` and `FileSystem` it
    /// is open again.
    pub fn done(self) -> Result<(), BatchError> {
        self.end(Vote::Done)
    }

    /// Ends the task on this rank: it has failed, for this reason. Of ranks other than the first,
    /// 480 bytes of the reason are kept; a state directory keeps 64 KiB. Collective in the worker.
    ///
    /// # Errors
    /// Those of [`done`](Self::done).
    pub fn failed(self, reason: impl fmt::Display) -> Result<(), BatchError> {
        self.end(Vote::Failed(reason.to_string()))
    }

    /// Opens the task again, for any worker. The same as dropping it, but returns errors.
    /// Collective in the worker.
    ///
    /// # Errors
    /// Those of [`done`](Self::done).
    pub fn reopen(self) -> Result<(), BatchError> {
        self.end(Vote::Open)
    }

    pub(super) fn end(self, vote: Vote) -> Result<(), BatchError> {
        // The drop after this finds that the task has ended.
        self.batch.end_task(self.position, vote)
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        if self.batch.current.is_undecided(self.position) {
            let vote = match thread::panicking() {
                true => Vote::Failed(self.batch.current.panic_message()),
                false => Vote::Dropped,
            };
            self.batch.drop_task(self.position, vote);
        }
    }
}

impl fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("index", &self.index)
            .field("name", &self.name())
            .field("was", &self.was)
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// The task at a position of this round, if this rank has one there.
    #[inline]
    pub(super) fn task_at(&self, position: usize) -> Option<Task<'_>> {
        let (index, was, attempt) = self.current.facts(position)?;
        Some(Task {
            batch: self,
            position,
            index,
            was,
            attempt,
        })
    }
}
