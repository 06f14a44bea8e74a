//! A worker: a group of ranks that run tasks together, and how they keep together.
//!
//! The first rank of a worker acts for it: it takes a task and shares it with the others, which wait for that. Each of them then
//! votes, without waiting, when it is through with the task, fails or drops it; the first rank hears all of
//! them before it says what has become of the task.

use crate::batch::BatchError;
use crate::rounds::Ballot;
#[cfg(feature = "mpi")]
use mpi::topology::SimpleCommunicator;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A group of ranks that run tasks together; a [`Batch`](super::Batch) has one or more.
pub struct Worker {
    number: i32,
    /// How many there are.
    count: i32,
    rank: i32,
    /// Its ranks, in the batch's communicator.
    members: Vec<i32>,
    #[cfg(feature = "mpi")]
    team: Option<with_mpi::Team>,
    #[cfg(feature = "mpi")]
    comm: Option<with_mpi::Part>,
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

/// What all ranks of a worker together say of a task: done if all say so, failed if one does; the reason is that of the lowest
/// such rank.
pub(super) fn count(ballots: &[Ballot]) -> Ballot {
    let failed = (ballots.iter()).find(|ballot| matches!(ballot, Ballot::Failed(_)));
    let all_done = ballots.iter().all(|ballot| *ballot == Ballot::Done);
    match failed {
        Some(failed) => failed.clone(),
        None if all_done => Ballot::Done,
        None => Ballot::Open,
    }
}

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
            // As much as fits into a value that is not waited for.
            Err(error) => Call::Failed(error.to_string().chars().take(100).collect()),
        }
    }
}

#[cfg(feature = "mpi")]
pub(super) use with_mpi::Layout;

#[cfg(feature = "mpi")]
mod with_mpi {
    use super::{Ballot, Call, Worker};
    use crate::batch::BatchError;
    use crate::cluster::Word;
    use crate::controller::WindowController;
    use crate::error::{CreateError, FenceError};
    use crate::lock::cluster::standing::HANDOVERS;
    use crate::memory::annex::Annex;
    use crate::memory::block::Block;
    pub(super) use crate::memory::mpi::PartComm as Part;
    use crate::memory::mpi::{self, Terms};
    use crate::rounds::RoundWord;
    use crate::rounds::vote::{Absent, Votes};
    use crate::share::Post;
    use crate::share::payload::Encoded;
    use crate::transport::Asked;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use std::panic::Location;
    use std::time::Duration;

    /// How the ranks of a communicator are put into workers. The same on all ranks.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub(in crate::batch) enum Layout {
        /// So many ranks in each.
        Equal(i32),
        /// So many in the first, in the second, and so on.
        Sizes(Vec<i32>),
        /// Those of a node.
        Nodes,
    }

    impl Layout {
        /// Why it cannot be on so many ranks.
        pub(in crate::batch) fn invalid(&self, size: i32) -> Option<CreateError> {
            let fits = match self {
                Layout::Equal(each) => *each > 0 && size % each == 0,
                Layout::Sizes(sizes) => {
                    let ranks: i64 = sizes.iter().map(|&size| i64::from(size)).sum();
                    sizes.iter().all(|&size| size > 0) && ranks == i64::from(size)
                }
                Layout::Nodes => true,
            };
            (!fits).then(|| CreateError::WorkerSizes {
                sizes: match self {
                    Layout::Sizes(sizes) => sizes.clone(),
                    Layout::Equal(each) => vec![*each],
                    Layout::Nodes => Vec::new(),
                },
                size,
            })
        }

        /// The worker of each rank.
        fn numbers(&self, block: &Block) -> Vec<i32> {
            let topology = block.domain().topology();
            let ranks = 0..topology.size() as i32;
            match self {
                Layout::Equal(each) => ranks.map(|rank| rank / each).collect(),
                Layout::Sizes(sizes) => (0..)
                    .zip(sizes)
                    .flat_map(|(number, &size)| (0..size).map(move |_| number))
                    .collect(),
                Layout::Nodes => ranks
                    .map(|rank| topology.node_of(rank as u32) as i32)
                    .collect(),
            }
        }
    }

    /// How the ranks of a worker of several keep together.
    pub(super) struct Team {
        /// Through whose mailbox the first rank shares tasks.
        calls: WindowController,
        votes: Votes,
    }

    impl Worker {
        /// Puts the ranks of `base` into workers; collective.
        pub(in crate::batch) fn split(
            base: &WindowController,
            layout: &Layout,
            asked: Asked,
        ) -> Result<Self, CreateError> {
            let numbers = layout.numbers(base.block());
            let me = base.rank();
            let number = numbers[me as usize];
            let members: Vec<i32> = (0..base.size())
                .filter(|&rank| numbers[rank as usize] == number)
                .collect();
            let part = Part::split(base.block(), number)?;
            let team = match members.len() {
                1 => None,
                _ => Some(Team::new(&part, asked)?),
            };
            Ok(Worker {
                number,
                count: numbers.iter().max().map_or(0, |last| last + 1),
                rank: members.iter().position(|&rank| rank == me).unwrap_or(0) as i32,
                members,
                team,
                comm: Some(part),
            })
        }

        /// Gives the others what the first rank has found. Waits until all of them have the one before the last, and no longer.
        #[track_caller]
        pub(in crate::batch) fn share<T: Serialize>(
            &self,
            call: &Call<T>,
        ) -> Result<(), BatchError> {
            let Some(team) = &self.team else {
                return Ok(());
            };
            let post = team.post();
            post.make_room();
            post.take_charge();
            post.share_encoded::<Call<T>>(Encoded::new(call))
                .map_err(BatchError::Diverged)
        }

        /// Waits for what the first rank has found.
        #[track_caller]
        pub(in crate::batch) fn collect<T: DeserializeOwned>(&self) -> Result<Call<T>, BatchError> {
            let team = self.team.as_ref().expect("a worker of several ranks");
            let collected = team.post().collect_encoded(0, None);
            collected.map_err(|error| match error {
                FenceError::RankDied { rank } => BatchError::RankDied {
                    rank: self.members[rank as usize],
                },
                FenceError::WriterMismatch { .. } => BatchError::RankLeft {
                    rank: self.members[0],
                },
                error => BatchError::Diverged(error),
            })
        }

        /// Tells the first rank what this one says of the `round`th task. Does not wait.
        pub(in crate::batch) fn vote(&self, round: u64, ballot: &Ballot) {
            if let Some(team) = &self.team {
                team.votes.cast(round, ballot, || team.send(round, ballot));
            }
        }

        /// Waits for what the others say of the `round`th task, in the order of their ranks.
        pub(in crate::batch) fn ballots(&self, round: u64) -> Result<Vec<Ballot>, BatchError> {
            let Some(team) = &self.team else {
                return Ok(Vec::new());
            };
            let heard = team
                .votes
                .hear(round, |rank, round| team.received(rank, round));
            heard.map_err(|absent| match absent {
                Absent::Died(rank) => BatchError::RankDied {
                    rank: self.members[rank as usize],
                },
                Absent::Left(rank) => self.left(rank),
            })
        }

        /// An error if a rank has left this worker.
        pub(in crate::batch) fn check_present(&self) -> Result<(), BatchError> {
            let team = self.team.as_ref();
            match team.and_then(|team| team.votes.left(|rank, round| team.received(rank, round))) {
                Some(rank) => Err(self.left(rank)),
                None => Ok(()),
            }
        }

        fn left(&self, rank: u32) -> BatchError {
            let rank = self.members[rank as usize];
            BatchError::RankLeft { rank }
        }

        /// Takes no further part. Does not wait.
        pub(in crate::batch) fn leave(&self) {
            if let Some(team) = &self.team {
                if !self.leads() {
                    self.vote(0, &Ballot::Left);
                }
                team.calls.block().leave_calls();
            }
        }
    }

    impl Team {
        fn new(part: &Part, asked: Asked) -> Result<Self, CreateError> {
            let annex = Annex::Vote;
            let terms = Terms {
                annex: annex.clone(),
                asked: asked.or_environment(),
                ..Terms::of("worker", "worker")
            };
            let calls = mpi::block(part.comm(), &terms, 0, |created| {
                let name = "worker".to_owned();
                WindowController::join_with(created, 0, name, HANDOVERS, &annex)
            })?;
            let votes = Votes::new(calls.block());
            Ok(Team { calls, votes })
        }

        /// Sends what this rank says to the first one, on another node.
        fn send(&self, round: u64, ballot: &Ballot) {
            let tier = self.calls.tier().expect("there are other nodes");
            let word = RoundWord::Vote {
                rank: tier.hub.rank(),
                round,
                ballot: ballot.clone(),
            };
            tier.hub.tell_rank(0, tier.number, Word::Round(word));
        }

        fn received(&self, rank: u32, round: u64) -> Option<Ballot> {
            self.calls.tier()?.desk.ballot(rank, round)
        }

        #[track_caller]
        fn post(&self) -> Post<'_> {
            Post {
                block: self.calls.block(),
                far: self.calls.far(),
                call: self.calls.begin_call(),
                place: Location::caller(),
                patience: Duration::ZERO,
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

    pub(super) fn vote(&self, _: u64, _: &Ballot) {}

    pub(super) fn ballots(&self, _: u64) -> Result<Vec<Ballot>, BatchError> {
        Ok(Vec::new())
    }

    pub(super) fn check_present(&self) -> Result<(), BatchError> {
        Ok(())
    }

    pub(super) fn leave(&self) {}
}
