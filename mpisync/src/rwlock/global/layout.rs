//! The words of a node's qnode.

use crate::rwlock::global::copy::CopyWords;
use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::event::Sleepers;

/// A node's qnode, on each node of the communicator. All zero is the initial state, except on the
/// home node, which begins with the token.
#[repr(C, align(128))]
pub(crate) struct QNode {
    /// [`IDLE`], [`QUEUED`] or [`OWNER`]. Stored, as all words up to `tail`, only with the node's
    /// turn.
    pub(crate) state: AtomicU32,
    /// The number of consecutive writers of this node that had the token.
    pub(crate) handovers: AtomicU32,
    /// The token, while this node has it.
    pub(crate) token: TokenWords,
    /// On the home node: the last node of the queue, plus one. Exchanged by ranks and the server of
    /// the home node.
    pub(crate) tail: AtomicU32,
    /// The node behind this one in the queue, plus one. Stored by this node's server, or on the home
    /// node by the rank that exchanged the tail; cleared with the node's turn.
    pub(crate) successor: AtomicU32,
    /// Nonzero while `granted` holds a token that was handed over and not taken yet. Stored by this
    /// node's server; cleared with the node's turn. A writer sleeps on it.
    pub(crate) arrived: AtomicU32,
    pub(crate) arrival_sleepers: Sleepers,
    pub(crate) granted: TokenWords,
    /// The rank that died as a writer, plus one, while the lock is poisoned. Stored by this node's
    /// server, and by ranks and the server when they open the gate.
    pub(crate) broken: AtomicU32,
    /// Nonzero while this node's server takes the turn, or keeps it, because a writer has died.
    /// Stored by the server.
    pub(crate) halting: AtomicU32,
    /// The number of recoveries. Stored by the server with the node's turn.
    pub(crate) generation: AtomicU32,
    /// This node's copy of the data.
    pub(crate) copy: CopyWords,
}

/// `state`: the node has not asked for the token.
pub(crate) const IDLE: u32 = 0;
/// `state`: the node is in the queue.
pub(crate) const QUEUED: u32 = 1;
/// `state`: the node has the token.
pub(crate) const OWNER: u32 = 2;

/// A [`Token`](crate::rwlock::global::token::Token).
#[repr(C)]
pub(crate) struct TokenWords {
    pub(crate) openings: AtomicU32,
    pub(crate) closed: AtomicU32,
    pub(crate) drained: AtomicU32,
    /// A node plus one.
    pub(crate) empty: AtomicU32,
    pub(crate) run: AtomicU32,
    pub(crate) version: VersionWords,
    /// A rank plus one.
    pub(crate) broken_by: AtomicU32,
    pub(crate) calls: [AtomicU64; 2],
    pub(crate) writers: [AtomicU32; 2],
}

/// A [`Version`](crate::rwlock::global::version::Version).
#[repr(C)]
pub(crate) struct VersionWords {
    pub(crate) number: AtomicU32,
    pub(crate) writer: AtomicU32,
}
