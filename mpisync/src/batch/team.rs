//! How the ranks of a communicator come into workers, and what those of a worker say to each other.

use crate::batch::vote::remote::VoteNodes;
use crate::batch::vote::{Absent, Vote, VoteLayout, Votes};
use crate::batch::worker::{Call, Worker};
use crate::batch::{BatchError, behind_mailbox};
use crate::error::{CollectiveError, CreateError};
use crate::location::CallSite;
use crate::object::Object;
use crate::rsmpi;
use crate::rsmpi::{Context, Creation, CreationArguments, PartComm};
use crate::share::{Calls, MailboxLayout, Post};
use crate::shm::block::Block;
use crate::transport::TransportOptions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::Location;

/// How the ranks of a communicator are put into workers. The same on all ranks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// So many ranks in each.
    Equal(i32),
    /// So many in the first, in the second, and so on.
    Sizes(Vec<i32>),
    /// Those of a node.
    Nodes,
}

impl Layout {
    /// Why it cannot be on so many ranks.
    pub(super) fn invalid(&self, size: i32) -> Option<CreateError> {
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
    object: Object,
    /// Through whose mailbox the first rank shares tasks.
    calls: Calls,
    votes: Votes,
    /// The other nodes, if there are any.
    nodes: Option<VoteNodes>,
}

impl Worker {
    /// Puts the ranks of `base` into workers; collective.
    pub(super) fn split(
        base: &Object,
        context: &Context,
        layout: &Layout,
        asked: TransportOptions,
    ) -> Result<Self, CreateError> {
        let numbers = layout.numbers(base.block());
        let me = base.rank();
        let number = numbers[me as usize];
        let members: Vec<i32> = (0..base.size())
            .filter(|&rank| numbers[rank as usize] == number)
            .collect();
        let part = PartComm::split(context, number)?;
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

    /// Gives the others what the first rank has found. Waits until all of them have the one before
    /// the last, and no longer.
    #[track_caller]
    pub(super) fn share<T: Serialize>(&self, call: &Call<T>) -> Result<(), BatchError> {
        let Some(team) = &self.team else {
            return Ok(());
        };
        team.post()
            .share_as_agreed(call)
            .map_err(BatchError::Diverged)
    }

    /// Waits for what the first rank has found.
    #[track_caller]
    pub(super) fn collect<T: DeserializeOwned>(&self) -> Result<Call<T>, BatchError> {
        let team = self.team.as_ref().expect("a worker of several ranks");
        let collected = team.post().collect_encoded(0, None);
        collected.map_err(|error| match error {
            CollectiveError::RankDied { rank } => BatchError::RankDied {
                rank: self.members[rank as usize],
            },
            CollectiveError::WriterMismatch { .. } => BatchError::RankLeft {
                rank: self.members[0],
            },
            error => BatchError::Diverged(error),
        })
    }

    /// Tells the first rank what this one says of the `round`th task. Does not wait.
    pub(super) fn vote(&self, round: u64, vote: &Vote) {
        if let Some(team) = &self.team {
            team.votes.cast(round, vote, || team.send(round, vote));
        }
    }

    /// Waits for what the others say of the `round`th task, in the order of their ranks.
    pub(super) fn votes(&self, round: u64) -> Result<Vec<Vote>, BatchError> {
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
    pub(super) fn check_present(&self) -> Result<(), BatchError> {
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
    pub(super) fn leave(&self) {
        if let Some(team) = &self.team {
            if !self.leads() {
                self.vote(0, &Vote::Left);
            }
            team.calls.leave();
        }
    }
}

impl Team {
    fn new(part: &PartComm, asked: TransportOptions) -> Result<Self, CreateError> {
        let creation = Creation::begin(part.comm(), Location::caller())?;
        let arguments = CreationArguments {
            asked: asked.or_environment(),
            // The place is mpisync's own, which says nothing.
            anywhere: true,
            ..creation.arguments("worker", "worker")
        };
        rsmpi::block(
            &creation,
            &arguments,
            &(MailboxLayout, VoteLayout),
            0,
            |created| {
                let object = Object::join(created, 0, "worker".to_owned());
                Team {
                    calls: Calls::new(object.block(), object.link(), Block::first_part),
                    votes: Votes::new(behind_mailbox(object.block())),
                    nodes: object.link().map(VoteNodes::open),
                    object,
                }
            },
        )
    }

    /// Sends what this rank says to the first one, on another node.
    fn send(&self, round: u64, vote: &Vote) {
        if let Some(nodes) = &self.nodes {
            nodes.cast(round, vote.clone());
        }
    }

    /// What a rank of another node has said.
    fn received(&self, rank: u32, round: u64) -> Option<Vote> {
        self.nodes.as_ref()?.vote(rank, round)
    }

    #[track_caller]
    fn post(&self) -> Post<'_> {
        let site = CallSite::anywhere("Batch", Location::caller());
        let block = self.object.block();
        let call = self.calls.begin(block.domain());
        self.calls.post(block, call, site)
    }
}
