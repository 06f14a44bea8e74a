//! What has become of a task in hand: each rank of the worker says what it makes of it, and the
//! first one writes it down.

use crate::batch::directory::{Claim, DirectoryError};
use crate::batch::table::layout::TaskStatus;
use crate::batch::vote::Vote;
use crate::batch::{Batch, BatchError, State, worker};

/// A task in hand.
pub(super) struct Hand {
    pub(super) task: usize,
    /// On the first rank of the worker, with a state directory.
    pub(super) claim: Option<Claim>,
    /// What this rank has said of it, when the others have not yet been heard.
    pub(super) said: Option<Vote>,
}

impl Batch {
    /// Says what this rank makes of the task in hand; the first rank also what has become of it.
    pub(super) fn put_down(&mut self, vote: Vote) -> Result<(), BatchError> {
        self.object.check_usable()?;
        let Some(hand) = &mut self.hand else {
            return Ok(());
        };
        hand.said = Some(vote);
        if self.worker.leads() {
            return self.settle();
        }
        self.vote();
        Ok(())
    }

    /// [`put_down`](Self::put_down) for a task that is dropped, which may not wait for others.
    pub(super) fn drop_task(&mut self, vote: impl FnOnce() -> Vote) {
        let Some(hand) = &mut self.hand else {
            return;
        };
        if hand.said.is_some() {
            return;
        }
        if self.object.check_usable().is_err() {
            self.hand = None;
            return;
        }
        hand.said = Some(vote());
        if !self.worker.leads() {
            self.vote();
        } else if !self.worker.has_others() {
            // The caller has no way to see an error; who wants one says `reopen` or `failed`.
            let task = hand.task;
            if let Err(BatchError::Directory(error) | BatchError::FileSystem { error, .. }) =
                self.settle()
            {
                self.problems.borrow_mut().push((task, error));
            }
        }
    }

    fn vote(&mut self) {
        if let Some(vote) = self.hand.take().and_then(|hand| hand.said) {
            self.worker.vote(self.round, &vote);
        }
    }

    /// On the first rank: hears the others about the task in hand, if it was put down, and says
    /// what has become of it.
    pub(super) fn settle(&mut self) -> Result<(), BatchError> {
        let Some(mut hand) = self.hand.take() else {
            return Ok(());
        };
        let mine = hand.said.take().unwrap_or(Vote::Open);
        if !self.worker.has_others() {
            return self.record(hand, mine);
        }
        let heard = self.worker.votes(self.round);
        let (vote, heard) = match heard {
            Ok(others) => (worker::count(&[&[mine], &others[..]].concat()), Ok(())),
            // Nobody knows what the one that is missing would have said.
            Err(error) => {
                self.broken = Some(error.clone());
                (Vote::Open, Err(error))
            }
        };
        self.record(hand, vote).and(heard)
    }

    /// Writes down what has become of a task.
    fn record(&self, hand: Hand, vote: Vote) -> Result<(), BatchError> {
        let (state, reason) = match &vote {
            Vote::Done => (State::Done, None),
            Vote::Failed(reason) => (State::Failed, Some(reason.as_str())),
            Vote::Open | Vote::Left => (State::Open, None),
        };
        let written = match hand.claim {
            Some(claim) => claim.settle(state, reason),
            None => Ok(()),
        };
        let (status, written) = match written {
            Ok(()) => (TaskStatus::from(state), Ok(())),
            // What the job that has it makes of it counts.
            Err(error @ DirectoryError::Lost { .. }) => (TaskStatus::Elsewhere, Err(error.into())),
            Err(error) if self.is_flaw(hand.task, &error) => {
                (TaskStatus::Invalid, Err(error.into()))
            }
            Err(error) => (TaskStatus::Open, Err(self.in_trouble(error))),
        };
        self.access().finish(hand.task, status);
        written
    }

    fn is_flaw(&self, task: usize, error: &DirectoryError) -> bool {
        let directory = self.directory.as_ref();
        directory.is_some_and(|directory| directory.is_flaw(task, error))
    }

    pub(super) fn leave(&mut self) {
        if let Some(hand) = self.hand.take()
            && self.worker.leads()
        {
            // A task that was dropped, of which the others have not been heard.
            let vote = match hand.said.clone() {
                Some(Vote::Failed(reason)) => Vote::Failed(reason),
                _ => Vote::Open,
            };
            let _nobody_to_tell = self.record(hand, vote);
        }
        self.worker.leave();
    }
}
