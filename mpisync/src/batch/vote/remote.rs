//! Votes of ranks of other nodes.

use super::Vote;
use crate::net::{Client, Link, Message, Port};
use crate::shm::lock;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// To the first rank: the sender's vote on a round.
#[derive(Debug, Serialize, Deserialize)]
struct VoteMessage {
    round: u64,
    vote: Vote,
}

impl Message for VoteMessage {}

/// The votes that go between nodes.
pub(super) struct RemoteVotes {
    port: Port,
    received: Arc<ReceivedVotes>,
}

/// Votes that this rank has received, with the ranks that cast them.
#[derive(Default)]
struct ReceivedVotes(Mutex<Vec<(u32, VoteMessage)>>);

impl Client for ReceivedVotes {
    type Message = VoteMessage;

    fn receive(&self, from: u32, vote: VoteMessage) {
        lock(&self.0).push((from, vote));
    }
}

impl RemoteVotes {
    /// Opens the port for the votes of an object.
    pub(super) fn open(link: &Link) -> Self {
        let port = link.port();
        let received = Arc::default();
        port.listen(&received);
        RemoteVotes { port, received }
    }

    /// Sends this rank's vote on a round to the first rank.
    pub(super) fn cast(&self, round: u64, vote: Vote) {
        self.port.send_to_rank(0, &VoteMessage { round, vote });
    }

    /// The vote of a rank of another node on a round, or [`Vote::Left`] if it has left. Forgets
    /// votes on earlier rounds.
    pub(super) fn vote(&self, rank: u32, round: u64) -> Option<Vote> {
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
