//! The messages between the nodes of a channel and its coordinator.

use crate::channel::remote::gathered::{Bytes, Gathered};
use serde::{Deserialize, Serialize};

/// A message from a node's server to the coordinator.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Messages that were put.
    #[serde(skip)]
    pub(crate) puts: Gathered,
    /// The number of credits that will not be used.
    pub(crate) unused: u64,
    /// Messages that the node returns because no rank of it waits for them: the last ones it
    /// received.
    #[serde(skip)]
    pub(crate) back: Gathered,
    /// Whether this report answers a recall of credits, or of messages, with all that no rank waits
    /// for.
    pub(crate) returned_credits: bool,
    pub(crate) returned_messages: bool,
    pub(crate) status: NodeStatus,
}

/// The state of a node. `granted`, `received`, `taken`, `asked`, `claimed` and `ends` are totals
/// since the channel was made.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct NodeStatus {
    /// The number of credits that the node received.
    pub(crate) granted: u64,
    /// The number of messages that the node received.
    pub(crate) received: u64,
    /// The number of messages that its ranks took.
    pub(crate) taken: u64,
    /// The waiting takers, beyond the messages at the node.
    pub(crate) wanted_messages: Demand,
    /// The waiting putters, beyond the free credits at the node.
    pub(crate) wanted_credits: Demand,
    /// The number of messages at the node beyond those that its ranks wait for; the same for
    /// credits.
    pub(crate) excess_messages: u64,
    pub(crate) excess_credits: u64,
    /// The number of questions that its ranks asked.
    pub(crate) asked: u64,
    /// The number of messages that its ranks promised.
    pub(crate) claimed: u64,
    /// The number of ends of the stream that it received.
    pub(crate) ends: u32,
    /// Whether the node has no messages, and every rank has either closed its producer or waits for
    /// a message.
    pub(crate) idle: bool,
    /// Whether all ranks have closed their producers, and the coordinator has all of their
    /// messages.
    pub(crate) no_producer: bool,
    /// Whether all ranks have closed their consumers.
    pub(crate) no_consumer: bool,
}

impl NodeStatus {
    /// Whether all ranks have closed both ends, and the node has no messages.
    pub(super) fn is_gone(&self) -> bool {
        self.idle && self.no_producer && self.no_consumer
    }
}

/// The demand of a node's ranks, for messages or for credits.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Demand {
    /// The number of waiters that wait until they are served.
    pub(crate) lasting: u64,
    /// The questions of ranks that wait only until their question is answered.
    pub(crate) questions: Vec<u64>,
}

impl Demand {
    /// The demand that remains after `supply` is used and all questions up to `answered` are
    /// answered.
    pub(super) fn left(&self, supply: u64, answered: u64) -> Self {
        let mut questions = self.questions.clone();
        questions.retain(|&question| question > answered);
        let rest = supply.saturating_sub(self.lasting) as usize;
        questions.drain(..rest.min(questions.len()));
        Demand {
            lasting: self.lasting.saturating_sub(supply),
            questions,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.lasting + self.questions.len() as u64
    }
}

/// A message from the coordinator to a node's server.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) credits: u64,
    #[serde(skip)]
    pub(crate) messages: Vec<Bytes>,
    /// The last answered question of the node's ranks, if there is a newly answered one. Everything
    /// available for these ranks is in this grant or earlier ones.
    pub(crate) answered: Option<u64>,
    /// The number of messages in the channel, if `answered` is given.
    pub(crate) len: u64,
    /// The stream has ended; this many promised messages are missing.
    pub(crate) end: Option<u64>,
    /// No rank of any node takes messages any more.
    pub(crate) closed: bool,
    /// No rank of another node takes messages any more.
    pub(crate) is_alone: bool,
    pub(crate) recall_credits: bool,
    pub(crate) recall_messages: bool,
    /// All ranks of all nodes have closed both ends.
    pub(crate) forget: bool,
}
