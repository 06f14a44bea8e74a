//! What has become of a task in hand: each rank of the worker says what it makes of it, and the first one writes it down.

use crate::batch::directory::{Claim, DirectoryError};
use crate::batch::table::layout::Entry;
use crate::batch::vote::Ballot;
use crate::batch::{Batch, BatchError, State, worker};

/// A task in hand.
pub(super) struct Hand {
    pub(super) task: usize,
    /// On the first rank of the worker, with a state directory.
    pub(super) claim: Option<Claim>,
    /// What this rank has said of it, when the others have not yet been heard.
    pub(super) said: Option<Ballot>,
}

impl Batch {
    /// Says what this rank makes of the task in hand; the first rank also what has become of it.
    pub(super) fn put_down(&mut self, ballot: Ballot) -> Result<(), BatchError> {
        self.object.check_usable()?;
        let Some(hand) = &mut self.hand else {
            return Ok(());
        };
        hand.said = Some(ballot);
        if self.worker.leads() {
            return self.settle();
        }
        self.vote();
        Ok(())
    }

    /// [`put_down`](Self::put_down) for a task that is dropped, which may not wait for others.
    pub(super) fn drop_task(&mut self, ballot: impl FnOnce() -> Ballot) {
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
        hand.said = Some(ballot());
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
        if let Some(ballot) = self.hand.take().and_then(|hand| hand.said) {
            self.worker.vote(self.round, &ballot);
        }
    }

    /// On the first rank: hears the others about the task in hand, if it was put down, and says what has become of it.
    pub(super) fn settle(&mut self) -> Result<(), BatchError> {
        let Some(mut hand) = self.hand.take() else {
            return Ok(());
        };
        let mine = hand.said.take().unwrap_or(Ballot::Open);
        if !self.worker.has_others() {
            return self.record(hand, mine);
        }
        let heard = self.worker.ballots(self.round);
        let (ballot, heard) = match heard {
            Ok(others) => (worker::count(&[&[mine], &others[..]].concat()), Ok(())),
            // Nobody knows what the one that is missing would have said.
            Err(error) => {
                self.broken = Some(error.clone());
                (Ballot::Open, Err(error))
            }
        };
        self.record(hand, ballot).and(heard)
    }

    /// Writes down what has become of a task.
    fn record(&self, hand: Hand, ballot: Ballot) -> Result<(), BatchError> {
        let (state, reason) = match &ballot {
            Ballot::Done => (State::Done, None),
            Ballot::Failed(reason) => (State::Failed, Some(reason.as_str())),
            Ballot::Open | Ballot::Left => (State::Open, None),
        };
        let written = match hand.claim {
            Some(claim) => claim.settle(state, reason),
            None => Ok(()),
        };
        let (entry, written) = match written {
            Ok(()) => (Entry::from(state), Ok(())),
            // What the job that has it makes of it counts.
            Err(error @ DirectoryError::Lost { .. }) => (Entry::Elsewhere, Err(error.into())),
            Err(error) if self.is_flaw(hand.task, &error) => (Entry::Invalid, Err(error.into())),
            Err(error) => (Entry::Open, Err(self.in_trouble(error))),
        };
        self.books().finish(hand.task, entry);
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
            let ballot = match hand.said.clone() {
                Some(Ballot::Failed(reason)) => Ballot::Failed(reason),
                _ => Ballot::Open,
            };
            let _nobody_to_tell = self.record(hand, ballot);
        }
        self.worker.leave();
    }
}
