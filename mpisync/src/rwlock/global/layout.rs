//! The words of a node's place in the queue for the cluster's turn.

use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::event::Sleepers;

/// A node's qnode, on each node that a controller spans. All zero is the first state, but for the
/// home node, which begins with the turn.
#[repr(C, align(128))]
pub(crate) struct QNode {
    /// [`OUT`] and so on. Stored, as all up to `tail`, only with the node's turn.
    pub(crate) standing: AtomicU32,
    /// How many writers of this node had the cluster's turn in a row.
    pub(crate) row: AtomicU32,
    /// What goes with the cluster's turn, while this node has it.
    pub(crate) turn: TurnWords,
    /// On the home node: the node at the end of the queue. Exchanged by ranks and the server of the
    /// home node.
    pub(crate) tail: AtomicU32,
    /// The node behind this one, plus one. Stored by this node's server, or on the home node by who
    /// exchanged the tail; taken away with the node's turn.
    pub(crate) successor: AtomicU32,
    /// Nonzero when `granted` holds a turn that was handed over and not taken up yet. Stored by
    /// this node's server; taken away with the node's turn. A writer sleeps on it.
    pub(crate) arrived: AtomicU32,
    pub(crate) arrival_sleepers: Sleepers,
    pub(crate) granted: TurnWords,
    /// The rank that died as a writer, plus one; the lock cannot be had any more.
    pub(crate) broken: AtomicU32,
}

/// `standing`: the node has not asked for the cluster's turn.
pub(crate) const OUT: u32 = 0;
/// `standing`: the node is in the queue.
pub(crate) const QUEUED: u32 = 1;
/// `standing`: the node has the turn.
pub(crate) const OWNER: u32 = 2;

/// What goes with the cluster's turn.
#[repr(C)]
pub(crate) struct TurnWords {
    pub(crate) openings: AtomicU32,
    pub(crate) closed: AtomicU32,
    pub(crate) drained: AtomicU32,
    /// A node plus one.
    pub(crate) empty: AtomicU32,
    pub(crate) run: AtomicU32,
    /// A rank plus one.
    pub(crate) broken_by: AtomicU32,
    pub(crate) calls: [AtomicU64; 2],
    pub(crate) writers: [AtomicU32; 2],
}
