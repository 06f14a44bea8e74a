//! The outcome of a task: each rank of the worker votes, and the leader records the result.

use crate::batch::current::CurrentTask;
use crate::batch::directory::DirectoryError;
use crate::batch::table::layout::TaskStatus;
use crate::batch::vote::{TaskOfRound, Vote};
use crate::batch::worker::Outcome;
use crate::batch::{Batch, BatchError, State};
use std::time::{Duration, Instant};

impl Batch {
    /// Votes on a task of this rank. The leader also records the outcome.
    pub(super) fn end_task(&self, position: usize, vote: Vote) -> Result<(), BatchError> {
        self.object.check_usable()?;
        let Some(ended) = self.current.vote(position, vote) else {
            return Ok(());
        };
        drop(ended);
        if self.worker.is_leader() {
            return self.settle(position);
        }
        self.cast_vote(position);
        Ok(())
    }

    /// [`end_task`](Self::end_task) for a task that is dropped. Does not wait for other ranks: a
    /// leader of several ranks settles the task in its next call.
    pub(super) fn drop_task(&self, position: usize, vote: Vote) {
        if !self.current.is_undecided(position) {
            return;
        }
        if self.object.check_usable().is_err() {
            drop(self.current.take(position));
            return;
        }
        drop(self.current.vote(position, vote));
        if !self.worker.is_leader() {
            self.cast_vote(position);
        } else if self.worker.team.is_none() {
            let task = self.current.facts(position).map(|(task, ..)| task);
            // A drop cannot return an error; `reopen` and `failed` do.
            if let Err(BatchError::Directory(error) | BatchError::FileSystem { error, .. }) =
                self.settle(position)
                && let Some(task) = task
            {
                self.problems.borrow_mut().push((task, error));
            }
        }
    }

    /// [`drop_task`](Self::drop_task) for all tasks that this rank has.
    pub(super) fn drop_tasks(&self, vote: &Vote) {
        for position in 0..self.current.len() {
            self.drop_task(position, vote.clone());
        }
    }

    fn cast_vote(&self, position: usize) {
        if let Some(vote) = self.current.take(position).and_then(|task| task.vote) {
            self.worker.vote(self.in_round(position), &vote);
        }
    }

    /// A task of this round, for votes.
    fn in_round(&self, position: usize) -> TaskOfRound {
        TaskOfRound {
            round: self.round,
            position,
            tasks: self.current.len(),
        }
    }

    /// On the leader: settles all tasks that this rank still has, and returns the first error.
    pub(super) fn settle_all(&self) -> Result<(), BatchError> {
        let mut settled = Ok(());
        for position in 0..self.current.len() {
            settled = settled.and(self.settle(position));
        }
        self.current.clear();
        settled
    }

    /// On the leader: waits for the votes of the other ranks on a task, if this rank has it, and
    /// records the outcome.
    fn settle(&self, position: usize) -> Result<(), BatchError> {
        let Some(mut current) = self.current.take(position) else {
            return Ok(());
        };
        let mine = current.vote.take().unwrap_or(Vote::Open);
        match self.outcome(position, current.task, mine) {
            Ok(Outcome::Vote(outcome)) => self.record(current, outcome),
            Ok(Outcome::Dropped(ranks)) => {
                let task = self.name_of(current.task);
                let error = BatchError::Dropped { task, ranks };
                let outcome = Vote::Failed(error.to_string());
                self.record(current, outcome).and(Err(error))
            }
            // The vote of the missing rank is unknown.
            Err(error) => {
                let _the_first_one = self.broken.set(error.clone());
                self.record(current, Vote::Open).and(Err(error))
            }
        }
    }

    /// On the leader: waits for the votes of the other ranks on a task, of which this rank has this
    /// vote.
    fn outcome(&self, position: usize, task: usize, mine: Vote) -> Result<Outcome, BatchError> {
        if self.worker.team.is_none() {
            return Ok(Outcome::Vote(mine));
        }
        let name = format!("the end of task {}", self.name_of(task));
        let outer = self.outer_call(&name, &|| {});
        self.worker.outcome(self.in_round(position), mine, &outer)
    }

    /// On the leader: whether [`settle_all`](Self::settle_all) does not wait. If it `inspects`, it looks
    /// whether the other ranks are alive.
    pub(super) fn may_settle_all(&self, name: &str, inspects: bool) -> bool {
        let outer = self.outer_call(name, &|| {});
        let has_voted = |position| {
            self.current.facts(position).is_none()
                || (self.worker).have_voted(self.in_round(position), &outer, inspects)
        };
        (0..self.current.len()).all(has_voted)
    }

    /// On the leader: opens all tasks of this rank again, of which the other ranks have not heard.
    pub(super) fn give_up(&self) {
        for position in 0..self.current.len() {
            if let Some(current) = self.current.take(position) {
                // The caller returns an error already.
                let _ = self.record(current, Vote::Open);
            }
        }
        self.current.clear();
    }

    /// On the leader: records the outcome of a task in the state directory and in the table.
    fn record(&self, current: CurrentTask, outcome: Vote) -> Result<(), BatchError> {
        let CurrentTask {
            task,
            attempt,
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
        let (state, reason) = self.state_after(outcome, attempt);
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
            Vote::Open | Vote::Dropped => None,
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

    /// Leaves the worker, and gives up its tasks. Does not wait.
    pub(super) fn leave(&self) {
        for position in 0..self.current.len() {
            if let Some(current) = self.current.take(position)
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
        }
        self.worker.leave();
    }
}
