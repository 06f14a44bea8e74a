//! A worker: a group of ranks that run tasks together, and how they keep together.
//!
//! The first rank of a worker acts for it: it takes a task and shares it with the others, which
//! wait for that. Each of them then votes, without waiting, when it is through with the task, fails
//! or drops it; the first rank hears all of them before it says what has become of the task.

use crate::batch::BatchError;
#[cfg(feature = "mpi")]
use crate::batch::team::Team;
use crate::batch::vote::Vote;
#[cfg(feature = "mpi")]
use crate::rsmpi::PartComm;
#[cfg(feature = "mpi")]
use mpi::topology::SimpleCommunicator;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A group of ranks that run tasks together; a [`Batch`](super::Batch) has one or more.
pub struct Worker {
    pub(super) number: i32,
    /// How many there are.
    pub(super) count: i32,
    pub(super) rank: i32,
    /// Its ranks, in the batch's communicator.
    pub(super) members: Vec<i32>,
    #[cfg(feature = "mpi")]
    pub(super) team: Option<Team>,
    #[cfg(feature = "mpi")]
    pub(super) comm: Option<PartComm>,
}

impl Worker {
    /// The only one, of one rank.
    pub(super) fn alone() -> Self {
        Worker {
            number: 0,
            count: 1,
            rank: 0,
            members: vec![0],
            #[cfg(feature = "mpi")]
            team: None,
            #[cfg(feature = "mpi")]
            comm: None,
        }
    }

    /// Which of the workers this is, counted from 0.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// How many workers the batch has.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// This rank's number in the worker.
    pub fn rank(&self) -> i32 {
        self.rank
    }

    /// How many ranks the worker has.
    pub fn size(&self) -> i32 {
        self.members.len() as i32
    }

    /// Its ranks in the batch's communicator, in the order of their numbers in the worker.
    pub fn members(&self) -> &[i32] {
        &self.members
    }

    /// The communicator of the worker's ranks.
    ///
    /// # Panics
    /// In a batch of one process without MPI, which has none.
    #[cfg(feature = "mpi")]
    pub fn comm(&self) -> &SimpleCommunicator {
        let part = self.comm.as_ref();
        part.expect("a batch on a communicator; one that was made with `Batch::local` has none")
            .comm()
    }

    /// Whether this rank acts for the worker.
    pub(super) fn leads(&self) -> bool {
        self.rank == 0
    }

    pub(super) fn has_others(&self) -> bool {
        self.members.len() > 1
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

/// What all ranks of a worker together say of a task: done if all say so, failed if one does; the
/// reason is that of the lowest such rank.
pub(super) fn count(votes: &[Vote]) -> Vote {
    let failed = (votes.iter()).find(|vote| matches!(vote, Vote::Failed(_)));
    let all_done = votes.iter().all(|vote| *vote == Vote::Done);
    match failed {
        Some(failed) => failed.clone(),
        None if all_done => Vote::Done,
        None => Vote::Open,
    }
}

/// As many bytes of an error as fit into a value that nobody has to wait for.
const LONGEST: usize = 400;

/// What the first rank tells the others when it has done something for all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Call<T> {
    Value(T),
    Nothing,
    Failed(String),
}

impl<T> Call<T> {
    pub(super) fn new(outcome: &Result<Option<T>, BatchError>) -> Self
    where
        T: Copy,
    {
        match outcome {
            Ok(Some(value)) => Call::Value(*value),
            Ok(None) => Call::Nothing,
            Err(error) => {
                let mut text = error.to_string();
                text.truncate(text.floor_char_boundary(LONGEST));
                Call::Failed(text)
            }
        }
    }
}

#[cfg(not(feature = "mpi"))]
impl Worker {
    pub(super) fn share<T>(&self, _: &Call<T>) -> Result<(), BatchError> {
        Ok(())
    }

    pub(super) fn collect<T>(&self) -> Result<Call<T>, BatchError> {
        unreachable!("a worker of one rank")
    }

    pub(super) fn vote(&self, _: u64, _: &Vote) {}

    pub(super) fn votes(&self, _: u64) -> Result<Vec<Vote>, BatchError> {
        Ok(Vec::new())
    }

    pub(super) fn check_present(&self) -> Result<(), BatchError> {
        Ok(())
    }

    pub(super) fn leave(&self) {}
}
