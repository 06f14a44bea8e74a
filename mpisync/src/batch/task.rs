//! A task in the hands of a worker.

use crate::batch::vote::Vote;
use crate::batch::worker::Worker;
use crate::batch::{Batch, BatchError, State, panics};
use std::fmt;
use std::path::PathBuf;
use std::thread;

/// A task that this rank's worker has taken; [`Batch::next_task`] gives it to each of the worker's
/// ranks.
///
/// Each of them says what has become of it, by [`done`](Self::done) or [`failed`](Self::failed). It
/// is done if all say so, and failed if one does. A task that is dropped while the rank panics has
/// failed, with the panic's message; one that is dropped otherwise, on its way out of a function
/// that returns early, say, is open again, for any worker.
#[must_use = "a task that is dropped is open again, with `let _ = …` too; say `done()` or `failed(…)`"]
pub struct Task<'a> {
    batch: &'a mut Batch,
    index: usize,
    was: State,
}

impl<'a> Task<'a> {
    pub(super) fn new(batch: &'a mut Batch, index: usize, was: State) -> Self {
        Task { batch, index, was }
    }

    /// Which task it is, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its name: one of those that the batch was made with, or its number.
    pub fn name(&self) -> String {
        self.batch.name_of(self.index)
    }

    /// What it was before it was taken: open, or one of what [`Again`](super::Again) asked for.
    pub fn was(&self) -> State {
        self.was
    }

    /// Its folder in the state directory, if the batch has one.
    pub fn directory(&self) -> Option<PathBuf> {
        let root = self.batch.directory.as_ref()?.root();
        Some(root.join(self.name()))
    }

    /// The worker that has it.
    pub fn worker(&self) -> &Worker {
        self.batch.worker()
    }

    /// The batch.
    pub fn batch(&self) -> &Batch {
        self.batch
    }

    /// This rank is done with it. Collective in the worker; the first rank waits for the others,
    /// and writes the state, and the others go on.
    ///
    /// # Errors
    /// On the first rank: [`BatchError::RankDied`], [`BatchError::RankLeft`];
    /// [`BatchError::FileSystem`] where the state cannot be written, and [`BatchError::Directory`]
    /// where another job has taken the task over, or what is in its folder is in the way. The task
    /// is done only if there is none; with the first three it is open again.
    pub fn done(self) -> Result<(), BatchError> {
        self.end(Vote::Done)
    }

    /// It has failed, for this reason, which is for people; from other ranks than the first, 480
    /// bytes of it travel, and a state directory keeps 64 KiB. Collective in the worker.
    ///
    /// # Errors
    /// Those of [`done`](Self::done).
    pub fn failed(self, reason: impl fmt::Display) -> Result<(), BatchError> {
        self.end(Vote::Failed(reason.to_string()))
    }

    /// It is for others: open again, for any worker. The same as dropping it, with errors as
    /// values.
    ///
    /// # Errors
    /// Those of [`done`](Self::done).
    pub fn reopen(self) -> Result<(), BatchError> {
        self.end(Vote::Open)
    }

    pub(super) fn end(self, vote: Vote) -> Result<(), BatchError> {
        // What `drop` does after this finds the task settled.
        self.batch.put_down(vote)
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.batch.drop_task(|| {
            if thread::panicking() {
                Vote::Failed(panics::message())
            } else {
                Vote::Open
            }
        });
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
