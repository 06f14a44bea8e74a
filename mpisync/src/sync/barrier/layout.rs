//! The words of a barrier, on each node its own.

use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::event::FutexWord;
use crate::shm::line::Line;

/// Of a barrier. All zero is the first state: nobody has come for the first time.
#[repr(C, align(128))]
pub(crate) struct BarrierWords {
    /// How often ranks of this node have come, all together.
    pub(crate) arrivals: Line<AtomicU64>,
    /// How often all have come, of all nodes.
    pub(crate) complete: Line<AtomicU64>,
    /// Where those sleep who wait for that.
    pub(crate) futex_word: Line<FutexWord>,
    /// How many messages this node has sent to others.
    pub(crate) sent: AtomicU64,
    /// The newest time of which the node so many rounds away has told this one, by round.
    pub(crate) heard: [AtomicU64; ROUNDS],
    /// How often the rank had come that died having come least often, of other nodes; and that rank
    /// plus one.
    pub(crate) lost_after: AtomicU64,
    pub(crate) lost: AtomicU32,
}

/// How many rounds of messages there are at most: enough for 2^32 nodes.
pub(crate) const ROUNDS: usize = 32;

/// What one rank keeps in a barrier.
#[repr(C)]
pub(crate) struct Arrival {
    /// How often it has come. Stored by this rank only.
    pub(crate) count: AtomicU64,
}
