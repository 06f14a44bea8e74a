//! A task that a worker runs, and its outcome: each rank votes, and the leader records the result.

use crate::batch::directory::{Claim, DirectoryError};
use crate::batch::limits::Limits;
use crate::batch::table::Taken;
use crate::batch::table::layout::TaskStatus;
use crate::batch::vote::Vote;
use crate::batch::worker::{Outcome, Worker};
use crate::batch::{Batch, BatchError, State};
use crate::span::{self, Hold};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fmt, thread};

/// A task that this rank's worker has taken; [`Batch::next_task`] returns it on each of the
/// worker's ranks.
///
/// Each rank of the worker ends it by [`done`](Self::done) or [`failed`](Self::failed). The task is
/// done if all ranks are done, and failed if one fails. A task that is dropped during a panic has
/// failed, with the panic's message in a program that [`run`](crate::run) runs; a destructor knows
/// it only from the panic hook, which `run` sets. One that the worker's first rank drops otherwise,
/// by an early return for example, is open again, for any worker. If the first rank is done and another one has
/// dropped the task, it has failed, and the first rank gets [`BatchError::Dropped`].
#[must_use = "a task that is dropped is open again, with `let _ = …` too; say `done()` or `failed(…)`"]
pub struct Task<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) index: usize,
    pub(super) was: State,
    pub(super) attempt: Option<u32>,
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

    /// The batch.
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
        self.batch.end_task(vote)
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        if self.batch.current.is_some() {
            self.batch.drop_task(match thread::panicking() {
                true => Vote::Failed(panic_message()),
                false => Vote::Dropped,
            });
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

/// The task that this rank has.
pub(super) struct CurrentTask {
    pub(super) task: usize,
    /// This rank's vote, until the outcome is recorded.
    pub(super) vote: Option<Vote>,
    /// On the leader.
    held: Option<Held>,
    pub(super) hold: Hold,
}

/// What the leader has of the current task.
struct Held {
    taken: Taken,
    /// With a state directory.
    claim: Option<Claim>,
    /// The number of this try, if tries are counted.
    attempt: Option<u32>,
    /// When it was taken, if that is limited.
    since: Option<Instant>,
}

impl CurrentTask {
    /// Ends this rank's part of the task with this vote.
    fn end_part(&mut self, vote: Vote) {
        drop(self.hold.end_as(match vote {
            Vote::Done | Vote::Open => span::Outcome::Success,
            Vote::Failed(_) | Vote::Dropped | Vote::Left => span::Outcome::Failure,
        }));
        self.vote = Some(vote);
    }

    /// That of a rank that is not the leader.
    pub(super) fn of_other(task: usize) -> Self {
        CurrentTask {
            task,
            vote: None,
            held: None,
            hold: Hold::default(),
        }
    }

    #[inline]
    pub(super) fn of_leader(
        taken: Taken,
        claim: Option<Claim>,
        attempt: Option<u32>,
        limits: &Limits,
    ) -> Self {
        CurrentTask {
            task: taken.task,
            vote: None,
            held: Some(Held {
                taken,
                claim,
                attempt,
                // Otherwise no task pays for reading the clock.
                since: limits.task_timeout.map(|_| Instant::now()),
            }),
            hold: Hold::default(),
        }
    }
}

impl Batch {
    /// Votes on the current task. The leader also records the outcome.
    fn end_task(&mut self, vote: Vote) -> Result<(), BatchError> {
        self.object.check_usable()?;
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        current.end_part(vote);
        if self.worker.is_leader() {
            return self.settle();
        }
        self.cast_vote();
        Ok(())
    }

    /// [`end_task`](Self::end_task) for a task that is dropped. Does not wait for other ranks: a
    /// leader of several ranks settles the task in its next call.
    pub(super) fn drop_task(&mut self, vote: Vote) {
        let Some(current) = &mut self.current else {
            return;
        };
        if current.vote.is_some() {
            return;
        }
        if self.object.check_usable().is_err() {
            self.current = None;
            return;
        }
        current.end_part(vote);
        if !self.worker.is_leader() {
            self.cast_vote();
        } else if self.worker.team.is_none() {
            let task = current.task;
            // A drop cannot return an error; `reopen` and `failed` do.
            if let Err(BatchError::Directory(error) | BatchError::FileSystem { error, .. }) =
                self.settle()
            {
                self.problems.borrow_mut().push((task, error));
            }
        }
    }

    fn cast_vote(&mut self) {
        if let Some(vote) = self.current.take().and_then(|current| current.vote) {
            self.worker.vote(self.round, &vote);
        }
    }

    /// On the leader: waits for the votes of the other ranks on the current task, if there is one,
    /// and records the outcome.
    pub(super) fn settle(&mut self) -> Result<(), BatchError> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        let mine = current.vote.take().unwrap_or(Vote::Open);
        match self.outcome(current.task, mine) {
            Ok(Outcome::Vote(outcome)) => self.record(current, outcome),
            Ok(Outcome::Dropped(ranks)) => {
                let task = self.name_of(current.task);
                let error = BatchError::Dropped { task, ranks };
                let outcome = Vote::Failed(error.to_string());
                self.record(current, outcome).and(Err(error))
            }
            // The vote of the missing rank is unknown.
            Err(error) => {
                self.broken = Some(error.clone());
                self.record(current, Vote::Open).and(Err(error))
            }
        }
    }

    /// On the leader: records the outcome of a task in the state directory and in the table.
    fn record(&self, current: CurrentTask, outcome: Vote) -> Result<(), BatchError> {
        let CurrentTask {
            task,
            held: Some(held),
            ..
        } = current
        else {
            return Ok(());
        };
        let timed = self.limits.task_timeout.zip(held.since);
        let overdue = timed
            .filter(|(limit, since)| since.elapsed() >= *limit)
            .map(|(limit, since)| self.overdue_error(task, limit, since));
        let outcome = match &overdue {
            Some(overdue) => Vote::Failed(overdue.to_string()),
            None => outcome,
        };
        let (state, reason) = self.state_after(outcome, held.attempt);
        let written = match held.claim {
            Some(claim) => claim.settle(state, reason.as_deref()),
            None => Ok(()),
        };
        let (status, written) = match written {
            Ok(()) => (TaskStatus::from(state), Ok(())),
            // The job that has the task decides.
            Err(error @ DirectoryError::Lost { .. }) => (TaskStatus::Elsewhere, Err(error.into())),
            Err(error) if self.is_flaw(task, &error) => (TaskStatus::Invalid, Err(error.into())),
            Err(error) => (TaskStatus::Open, Err(self.file_system_error(error))),
        };
        let Some((limit, since)) = timed else {
            self.table.finish(&self.object, held.taken, status);
            return written;
        };
        let had = (self.table).finish_in_time(&self.object, held.taken, status)?;
        if !had && self.directory.is_some() {
            // Others found that it was late.
            self.table.set(&self.object, task, status)?;
        }
        match overdue {
            Some(overdue) => Err(overdue),
            None if !had => Err(self.overdue_error(task, limit, since)),
            None => written,
        }
    }

    /// The error for a task that this worker has had for longer than it may.
    #[cold]
    fn overdue_error(&self, task: usize, limit: Duration, since: Instant) -> BatchError {
        BatchError::Overdue {
            task: self.name_of(task),
            took: since.elapsed(),
            limit,
        }
    }

    /// The state after a try, and the reason of a failure.
    fn state_after(&self, outcome: Vote, attempt: Option<u32>) -> (State, Option<String>) {
        let reason = match outcome {
            Vote::Done => return (State::Done, None),
            Vote::Failed(reason) => Some(reason),
            Vote::Open | Vote::Dropped | Vote::Left => None,
        };
        let (Some(most), Some(attempt)) = (self.limits.tries, attempt) else {
            return match reason {
                Some(reason) => (State::Failed, Some(reason)),
                None => (State::Open, None),
            };
        };
        if attempt < most {
            return (State::Open, None);
        }
        let reason = reason.unwrap_or_else(|| "it was not ended".to_owned());
        let reason = format!("{reason} (try {attempt} of {most})");
        (State::Failed, Some(reason))
    }

    fn is_flaw(&self, task: usize, error: &DirectoryError) -> bool {
        let directory = self.directory.as_ref();
        directory.is_some_and(|directory| directory.is_flaw(task, error))
    }

    /// Leaves the worker, and gives up the current task. Does not wait.
    pub(super) fn leave(&mut self) {
        if let Some(current) = self.current.take()
            && self.worker.is_leader()
        {
            // The votes of the other ranks on a dropped task are unknown.
            let outcome = match current.vote.clone() {
                Some(Vote::Failed(reason)) => Vote::Failed(reason),
                _ => Vote::Open,
            };
            // A drop cannot return an error.
            let _ = self.record(current, outcome);
        }
        self.worker.leave();
    }
}

/// The message of this thread's panic, or a hint if it is not known.
fn panic_message() -> String {
    #[cfg(feature = "mpi")]
    if let Some(message) = crate::rsmpi::run::take_panic_message() {
        return message;
    }
    "a panic; its rank has printed the message".to_owned()
}
