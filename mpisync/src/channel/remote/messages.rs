//! What the nodes of a channel and its coordinator say to each other.

use serde::{Deserialize, Serialize};

/// A message of whatever type.
pub(crate) type Bytes = serde_bytes::ByteBuf;

/// From the server of a node to the coordinator.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Messages that were put.
    pub(crate) puts: Vec<Bytes>,
    /// How many credits will not be used.
    pub(crate) unused: u64,
    /// Messages that nobody waits for: the last ones of all that have come.
    pub(crate) back: Vec<Bytes>,
    /// Whether what could be returned of the credits, or messages, that were called back is with
    /// this report.
    pub(crate) returned_credits: bool,
    pub(crate) returned_messages: bool,
    pub(crate) status: NodeStatus,
}

/// How a node stands.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct NodeStatus {
    /// How many credits have come so far.
    pub(crate) granted: u64,
    /// How many messages have come so far.
    pub(crate) received: u64,
    /// How many its ranks have taken.
    pub(crate) taken: u64,
    /// How many ranks wait for a message, beyond those that are there.
    pub(crate) wanted_messages: Demand,
    /// How many ranks wait for room, beyond the credits that are there.
    pub(crate) wanted_credits: Demand,
    /// How many messages are there beyond those that ranks wait for, and how many credits.
    pub(crate) excess_messages: u64,
    pub(crate) excess_credits: u64,
    /// How many questions its ranks have asked so far.
    pub(crate) asked: u64,
    /// How many messages its ranks have promised so far.
    pub(crate) claimed: u64,
    /// How many ends it has seen.
    pub(crate) ends: u32,
    /// Whether nothing is there and every rank has either closed its producer or waits for a
    /// message.
    pub(crate) idle: bool,
    /// Whether all ranks have closed their producers, and the coordinator has all that they put.
    pub(crate) no_producer: bool,
    /// Whether all ranks have closed their consumers.
    pub(crate) no_consumer: bool,
}

impl NodeStatus {
    /// Whether all ranks have closed both ends, and nothing is there.
    pub(super) fn is_gone(&self) -> bool {
        self.idle && self.no_producer && self.no_consumer
    }
}

/// What ranks of a node wait for.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Demand {
    /// How much, whatever it takes.
    pub(crate) lasting: u64,
    /// The questions of those who wait until they are answered.
    pub(crate) questions: Vec<u64>,
}

impl Demand {
    /// What is left of it when so much is there, and questions up to this one are answered.
    pub(super) fn left(&self, there: u64, answered: u64) -> Self {
        let mut questions = self.questions.clone();
        questions.retain(|&question| question > answered);
        let rest = there.saturating_sub(self.lasting) as usize;
        questions.drain(..rest.min(questions.len()));
        Demand {
            lasting: self.lasting.saturating_sub(there),
            questions,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.lasting + self.questions.len() as u64
    }
}

/// From the coordinator to the server of a node.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) credits: u64,
    pub(crate) messages: Vec<Bytes>,
    /// Up to which question of the node's ranks all that could be given has been given, once there
    /// was one more.
    pub(crate) answered: Option<u64>,
    /// How many messages there are.
    pub(crate) len: u64,
    /// The stream is at its end, and so many messages that were promised are missing.
    pub(crate) end: Option<u64>,
    /// Nobody is left who takes.
    pub(crate) closed: bool,
    /// Nobody is left on other nodes who takes.
    pub(crate) is_alone: bool,
    pub(crate) call_back_credits: bool,
    pub(crate) call_back_messages: bool,
    /// All ranks of all nodes are done with the channel.
    pub(crate) forget: bool,
}

impl Report {
    /// About how many bytes it has when it travels.
    pub(crate) fn size(&self) -> usize {
        size(&self.puts) + size(&self.back)
    }
}

impl Grant {
    /// About how many bytes it has when it travels.
    pub(crate) fn size(&self) -> usize {
        size(&self.messages)
    }
}

fn size(messages: &[Bytes]) -> usize {
    // Each has its length before it.
    messages.iter().map(|message| message.len() + 5).sum()
}
