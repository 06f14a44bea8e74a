//! A vote over several nodes.

use super::Ballot;
use crate::net::{Client, Link, Message, Port};
use crate::shm::lock;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// To the first rank: what the sender makes of a round.
#[derive(Debug, Serialize, Deserialize)]
struct Vote {
    round: u64,
    ballot: Ballot,
}

impl Message for Vote {}

/// The other nodes of a vote.
pub(crate) struct VoteNodes {
    port: Port,
    received: Arc<ReceivedVotes>,
}

/// What ranks of other nodes make of what ranks do together, by rank.
#[derive(Default)]
struct ReceivedVotes(Mutex<Vec<(u32, Vote)>>);

impl Client for ReceivedVotes {
    type Message = Vote;

    fn receive(&self, from: u32, vote: Vote) {
        lock(&self.0).push((from, vote));
    }
}

impl VoteNodes {
    /// Opens the port of an object's vote.
    pub(crate) fn open(link: &Link) -> Self {
        let port = link.port();
        let received = Arc::default();
        port.listen(&received);
        VoteNodes { port, received }
    }

    /// Sends what this rank makes of a round to the first rank.
    pub(crate) fn cast(&self, round: u64, ballot: Ballot) {
        self.port.send_to_rank(0, &Vote { round, ballot });
    }

    /// What a rank of another node makes of a round, or that it takes no part any more. What was said of rounds before is
    /// forgotten.
    pub(crate) fn ballot(&self, rank: u32, round: u64) -> Option<Ballot> {
        let mut votes = lock(&self.received.0);
        let is_of_use =
            |vote: &Vote| vote.round >= round || round == u64::MAX || vote.ballot == Ballot::Left;
        votes.retain(|(_, vote)| is_of_use(vote));
        let of_rank = || votes.iter().filter(|vote| vote.0 == rank);
        let of_round = of_rank().find(|(_, vote)| vote.round == round);
        let left = || of_rank().find(|(_, vote)| vote.ballot == Ballot::Left);
        of_round.or_else(left).map(|(_, vote)| vote.ballot.clone())
    }
}
