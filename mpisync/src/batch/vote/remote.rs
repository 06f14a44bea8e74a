//! Votes of ranks of other nodes.

use super::{TaskOfRound, Vote};
use crate::net::{Client, Link, Message, Port};
use crate::shm::lock;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// To the first rank.
#[derive(Debug, Serialize, Deserialize)]
enum VoteMessage {
    /// The sender's vote on a task.
    Cast {
        round: u64,
        position: usize,
        vote: Vote,
    },
    /// The sender takes part in no more rounds.
    Left,
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

    fn receive(&self, from: u32, message: VoteMessage) {
        lock(&self.0).push((from, message));
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

    /// Sends this rank's vote on a task to the first rank.
    pub(super) fn cast(&self, on: TaskOfRound, vote: Vote) {
        let TaskOfRound {
            round, position, ..
        } = on;
        let message = VoteMessage::Cast {
            round,
            position,
            vote,
        };
        self.port.send_to_rank(0, &message);
    }

    /// Tells the first rank that this one takes part in no more rounds.
    pub(super) fn leave(&self) {
        self.port.send_to_rank(0, &VoteMessage::Left);
    }

    /// Whether a rank of another node is known to have left.
    pub(super) fn has_left(&self, rank: u32) -> bool {
        let received = lock(&self.received.0);
        let mut of_rank = received.iter().filter(|(from, _)| *from == rank);
        of_rank.any(|(_, message)| matches!(message, VoteMessage::Left))
    }

    /// The vote of a rank of another node on a task. Forgets votes on earlier rounds.
    pub(super) fn vote(&self, rank: u32, on: TaskOfRound) -> Option<Vote> {
        let mut received = lock(&self.received.0);
        received.retain(|(_, message)| match message {
            VoteMessage::Cast { round, .. } => *round >= on.round,
            VoteMessage::Left => true,
        });
        received.iter().find_map(|(from, message)| match message {
            VoteMessage::Cast {
                round,
                position,
                vote,
            } if *from == rank && (*round, *position) == (on.round, on.position) => {
                Some(vote.clone())
            }
            _ => None,
        })
    }
}
