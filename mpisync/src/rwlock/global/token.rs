//! The global token, and the state of a node in the queue for it.

use crate::rwlock::global::tree::Node;
use crate::rwlock::global::version::Version;
use serde::{Deserialize, Serialize};

/// How many writers of one node may follow each other while another node waits, unless the builder
/// says otherwise.
pub(crate) const MAX_LOCAL_HANDOVERS: u32 = 16;

/// What the node that holds the global lock knows, and hands over with it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub(crate) struct Token {
    /// How often the gates have been opened.
    pub(crate) openings: u32,
    /// The gates are closed, or are being closed.
    pub(crate) closed: bool,
    /// All gates are closed and all readers have left.
    pub(crate) drained: bool,
    /// The node that handed the token over, if its gate is closed and its readers have left.
    pub(crate) empty: Option<Node>,
    /// The number of writers since the gates were last opened.
    pub(crate) run: u32,
    /// The version of the data.
    pub(crate) version: Version,
    /// The rank that died as a writer, while the lock is poisoned.
    pub(crate) broken_by: Option<u32>,
    /// The last two fenced calls with a writer.
    pub(crate) claims: [Claim; 2],
}

/// The writer of a fenced call.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub(crate) struct Claim {
    pub(crate) call: u64,
    pub(crate) writer: u32,
}

/// The state of a node in the queue for the global lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum QueueState {
    /// It has not asked for the token.
    Idle,
    /// It is in the queue.
    Queued,
    /// It has the token; `handovers` of its writers have had it in a row.
    Owner { token: Token, handovers: u32 },
}

impl QueueState {
    /// Whether this node is responsible for opening the gates again.
    pub(crate) fn keeps_gates_closed(&self) -> bool {
        matches!(self, QueueState::Owner { token, .. } if token.closed && token.broken_by.is_none())
    }
}

impl Token {
    /// Counts an opening of the gates. Returns the token after it.
    pub(crate) fn open(&mut self) -> Token {
        self.openings = self.openings.wrapping_add(1);
        self.closed = false;
        self.drained = false;
        self.empty = None;
        self.run = 0;
        *self
    }
}
