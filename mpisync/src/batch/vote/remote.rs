//! A vote over several nodes.

use super::Vote;
use crate::net::{Client, Link, Message, Port};
use crate::shm::lock;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// To the first rank: what the sender makes of a round.
#[derive(Debug, Serialize, Deserialize)]
struct VoteMessage {
    round: u64,
    vote: Vote,
}

impl Message for VoteMessage {}

/// The other nodes of a vote.
pub(crate) struct VoteNodes {
    port: Port,
    received: Arc<ReceivedVotes>,
}

/// The votes of ranks of other nodes, by rank.
#[derive(Default)]
struct ReceivedVotes(Mutex<Vec<(u32, VoteMessage)>>);

impl Client for ReceivedVotes {
    type Message = VoteMessage;

    fn receive(&self, from: u32, vote: VoteMessage) {
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

    /// Sends this rank's vote on a round to the first rank.
    pub(crate) fn cast(&self, round: u64, vote: Vote) {
        self.port.send_to_rank(0, &VoteMessage { round, vote });
    }

    /// The vote of a rank of another node on a round, or that it takes no part any more. Votes on
    /// rounds before are forgotten.
    pub(crate) fn vote(&self, rank: u32, round: u64) -> Option<Vote> {
        let mut received = lock(&self.received.0);
        let is_of_use = |message: &VoteMessage| {
            message.round >= round || round == u64::MAX || message.vote == Vote::Left
        };
        received.retain(|(_, message)| is_of_use(message));
        let of_rank = || received.iter().filter(|(from, _)| *from == rank);
        let of_round = of_rank().find(|(_, message)| message.round == round);
        let left = || of_rank().find(|(_, message)| message.vote == Vote::Left);
        of_round
            .or_else(left)
            .map(|(_, message)| message.vote.clone())
    }
}
