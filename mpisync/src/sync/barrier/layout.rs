//! The words of a barrier. Each node has its own.

use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::event::FutexWord;
use crate::shm::line::Line;

/// The words of a barrier. All zeros are the initial state: no rank has arrived at phase 1.
#[repr(C, align(128))]
pub(crate) struct BarrierWords {
    /// The number of arrivals of all ranks of this node.
    pub(crate) arrivals: Line<AtomicU64>,
    /// The number of completed phases, over all nodes.
    pub(crate) complete: Line<AtomicU64>,
    /// Ranks that wait for a phase to complete sleep here.
    pub(crate) futex_word: Line<FutexWord>,
    /// The number of signals that this node has sent.
    pub(crate) sent: AtomicU64,
    /// For each round, the latest phase that this node has received a signal for.
    pub(crate) heard: [AtomicU64; ROUNDS],
    /// Of all known dead ranks of other nodes, the lowest number of phases that one had arrived at,
    /// and the rank of that one plus one.
    pub(crate) lost_after: AtomicU64,
    pub(crate) lost: AtomicU32,
}

/// The largest number of rounds in a phase: enough for 2^32 nodes.
pub(crate) const ROUNDS: usize = 32;

/// The words of one rank in a barrier.
#[repr(C)]
pub(crate) struct Arrival {
    /// The number of phases that the rank has arrived at. Stored by that rank only.
    pub(crate) count: AtomicU64,
}
