//! A worker: a group of ranks that run tasks together.
//!
//! The first rank of a worker is its leader: it takes a round of tasks and shares it with the others,
//! which wait for it. Each rank votes on each task when it ends or drops it, without waiting. The
//! leader waits for all votes on a task before it records the outcome.

use crate::batch::BatchError;
use crate::batch::vote::{Absent, TaskOfRound, Vote, Votes};
use crate::error::{CollectiveError, LockError};
use crate::location::CallSite;
use crate::object::Object;
#[cfg(feature = "mpi")]
use crate::rsmpi::PartComm;
use crate::share::{Calls, FencedCall, OuterCall};
use crate::shm::cells::shortened;
use serde::Serialize;
use serde::de::DeserializeOwned;
#[cfg(not(feature = "mpi"))]
use std::convert::Infallible as PartComm;
use std::fmt;
use std::panic::Location;

/// A group of ranks that run tasks together; a [`Batch`](super::Batch) has one or more.
pub struct Worker {
    pub(super) number: i32,
    /// The number of workers.
    pub(super) count: i32,
    pub(super) rank: i32,
    /// Its ranks, in the batch's communicator.
    pub(super) members: Vec<i32>,
    /// `None` for a worker of one rank.
    pub(super) team: Option<Team>,
    /// `None` for a batch of one process.
    pub(super) comm: Option<PartComm>,
}

/// What the ranks of a worker have made of a task.
pub(super) enum Outcome {
    Vote(Vote),
    /// The first rank is done, and these have dropped the task and said nothing.
    Dropped(Vec<i32>),
}

/// What the ranks of a worker share, if there are several.
pub(super) struct Team {
    pub(super) object: Object,
    /// The calls in which the leader shares tasks.
    pub(super) calls: Calls,
    pub(super) votes: Votes,
}

impl Worker {
    /// The worker of a batch of one process.
    pub(super) fn local() -> Self {
        Worker {
            number: 0,
            count: 1,
            rank: 0,
            members: vec![0],
            team: None,
            comm: None,
        }
    }

    /// The number of this worker, counted from 0.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// The number of workers of the batch.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// This rank's number in the worker.
    pub fn rank(&self) -> i32 {
        self.rank
    }

    /// The number of ranks of the worker.
    pub fn size(&self) -> i32 {
        self.members.len() as i32
    }

    /// The worker's ranks in the batch's communicator, in the order of their numbers in the worker.
    pub fn members(&self) -> &[i32] {
        &self.members
    }

    /// Whether this rank acts for the worker.
    pub(super) fn is_leader(&self) -> bool {
        self.rank == 0
    }

    /// As the leader: shares a value with the other ranks, or the text of an error. Waits until all
    /// of them have received the value before the last, and no longer.
    pub(super) fn share<T: Clone + Serialize>(
        &self,
        value: &Result<T, BatchError>,
        outer: &OuterCall<'_>,
        location: &'static Location<'static>,
    ) -> Result<(), BatchError> {
        match &self.team {
            Some(team) => {
                let call = fenced_call(&team.object, &team.calls, location).part_of(outer);
                share_in(call, value)
            }
            None => Ok(()),
        }
    }

    /// Waits for the value that the leader shares.
    pub(super) fn receive<T: DeserializeOwned>(
        &self,
        outer: &OuterCall<'_>,
        location: &'static Location<'static>,
    ) -> Result<T, BatchError> {
        let team = self.team.as_ref().expect("a worker of several ranks");
        let leader = self.members[0];
        let call = fenced_call(&team.object, &team.calls, location).part_of(outer);
        match call.collect_encoded::<Result<T, String>>(0, None) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(found)) => Err(BatchError::OtherRank {
                rank: leader,
                found,
            }),
            Err(CollectiveError::RankDied { rank }) => Err(self.died(rank as u32)),
            Err(CollectiveError::RankEnded { rank, .. }) => Err(self.ended(rank as u32)),
            Err(CollectiveError::RankLeft { rank }) => Err(self.left(rank as u32)),
            Err(CollectiveError::WriterMismatch { .. }) => Err(self.left(0)),
            Err(CollectiveError::Lock(error)) => Err(error.into()),
            Err(error) => Err(BatchError::Diverged(error)),
        }
    }

    /// Whether [`share`](Self::share) does not wait, or [`receive`](Self::receive) on another rank than
    /// the leader. If it `inspects`, it looks whether the others are alive.
    pub(super) fn may_meet(
        &self,
        outer: &OuterCall<'_>,
        location: &'static Location<'static>,
        inspects: bool,
    ) -> bool {
        let Some(team) = &self.team else {
            return true;
        };
        let block = team.object.block();
        let number = team.calls.next(block.domain());
        let call = team
            .calls
            .call(block, number, site(location))
            .part_of(outer);
        match self.is_leader() {
            true => call.has_room(inspects),
            false => call.may_collect(0, inspects),
        }
    }

    /// As the leader: whether [`outcome`](Self::outcome) does not wait.
    pub(super) fn have_voted(
        &self,
        on: TaskOfRound,
        outer: &OuterCall<'_>,
        inspects: bool,
    ) -> bool {
        let votes = self.team.as_ref().map(|team| &team.votes);
        votes.is_none_or(|votes| votes.are_in(on, outer, inspects))
    }

    /// Casts this rank's vote on a task. Does not wait.
    pub(super) fn vote(&self, on: TaskOfRound, vote: &Vote) {
        if let Some(team) = &self.team {
            team.votes.cast(on, vote);
        }
    }

    /// As the leader: waits for the votes of the other ranks on a task. Returns the outcome: failed if
    /// a rank has failed, for the reason of the lowest such rank; done if all ranks are done; open
    /// otherwise. If this rank is done, and all that is missing is that others have dropped the task
    /// and said nothing, it returns these, in the batch's communicator.
    pub(super) fn outcome(
        &self,
        on: TaskOfRound,
        mine: Vote,
        outer: &OuterCall<'_>,
    ) -> Result<Outcome, BatchError> {
        let Some(team) = &self.team else {
            return Ok(Outcome::Vote(mine));
        };
        let mut votes = (team.votes.wait(on, outer)).map_err(|absent| match absent {
            Absent::Died(rank) => self.died(rank),
            Absent::Ended(rank) => self.ended(rank),
            Absent::Left(rank) => self.left(rank),
            Absent::HostLost(loss) => LockError::from(loss).into(),
            Absent::Interrupted => LockError::Interrupted.into(),
        })?;
        votes.insert(0, mine);
        if let Some(failed) = votes.iter().find(|vote| matches!(vote, Vote::Failed(_))) {
            return Ok(Outcome::Vote(failed.clone()));
        }
        let with = |wanted: Vote| {
            let ranks = votes.iter().zip(&self.members);
            let ranks = ranks.filter(move |(vote, _)| **vote == wanted);
            ranks.map(|(_, &rank)| rank).collect::<Vec<i32>>()
        };
        let (done, dropped) = (with(Vote::Done), with(Vote::Dropped));
        Ok(if done.len() == votes.len() {
            Outcome::Vote(Vote::Done)
        } else if votes[0] == Vote::Done && done.len() + dropped.len() == votes.len() {
            Outcome::Dropped(dropped)
        } else {
            Outcome::Vote(Vote::Open)
        })
    }

    /// Fails if a rank has left this worker.
    pub(super) fn check_present(&self) -> Result<(), BatchError> {
        let left = self.team.as_ref().and_then(|team| team.votes.left());
        left.map_or(Ok(()), |rank| Err(self.left(rank)))
    }

    fn died(&self, rank: u32) -> BatchError {
        let rank = self.members[rank as usize];
        BatchError::RankDied { rank }
    }

    fn ended(&self, rank: u32) -> BatchError {
        let rank = self.members[rank as usize];
        BatchError::RankEnded { rank }
    }

    fn left(&self, rank: u32) -> BatchError {
        let rank = self.members[rank as usize];
        BatchError::RankLeft { rank }
    }

    /// Leaves the worker. Does not wait.
    pub(super) fn leave(&self) {
        if let Some(team) = &self.team {
            if !self.is_leader() {
                team.votes.leave();
            }
            team.calls.leave();
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("number", &self.number)
            .field("count", &self.count)
            .field("rank", &self.rank)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

/// Shares a value with the other ranks in a call, or the text of an error.
pub(super) fn share_in<T: Clone + Serialize>(
    call: FencedCall<'_>,
    value: &Result<T, BatchError>,
) -> Result<(), BatchError> {
    /// The most bytes of an error's text, so that the value fits into a mailbox record, and the
    /// rank need not wait for the others.
    const LONGEST: usize = 400;
    let text_of = |error: &BatchError| shortened(&error.to_string(), LONGEST).into_owned();
    let shared = value.as_ref().map_err(text_of);
    let shared = call.share_as_agreed(&shared.cloned());
    shared.map_err(BatchError::Diverged)
}

pub(super) fn fenced_call<'a>(
    object: &'a Object,
    calls: &'a Calls,
    location: &'static Location<'static>,
) -> FencedCall<'a> {
    let block = object.block();
    calls.call(block, calls.begin(block.domain()), site(location))
}

fn site(location: &'static Location<'static>) -> CallSite {
    CallSite::anywhere("Batch", location)
}
