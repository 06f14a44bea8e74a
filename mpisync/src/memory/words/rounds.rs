//! The words of what ranks do round after round: in turn, or together, or to tell one of them. On each node its own.

use super::lock::Line;
use super::queue::Bell;
use crate::memory::atomic::{AtomicU32, AtomicU64};
use crate::memory::cells::Text;

/// Of a turn. All zero is the first state: it is rank 0's turn.
#[repr(C, align(128))]
pub(crate) struct TurnWords {
    /// How many turns are over, as far as this node has to know: whose ranks come next, knows it. Only ever goes up.
    pub(crate) over: AtomicU64,
    /// The rank that died before its turn was over, plus one.
    pub(crate) lost: AtomicU32,
}

/// Of a barrier. All zero is the first state: nobody has come for the first time.
#[repr(C, align(128))]
pub(crate) struct BarrierWords {
    /// How often ranks of this node have come, all together.
    pub(crate) arrivals: Line<AtomicU64>,
    /// How often all have come, of all nodes.
    pub(crate) complete: Line<AtomicU64>,
    /// Where those sleep who wait for that.
    pub(crate) bell: Line<Bell>,
    /// How many messages this node has sent to others.
    pub(crate) sent: AtomicU64,
    /// The newest time of which the node so many rounds away has told this one, by round.
    pub(crate) heard: [AtomicU64; ROUNDS],
    /// How often the rank had come that died having come least often, of other nodes; and that rank plus one.
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

/// Of a vote. All zero is the first state.
#[repr(C, align(128))]
pub(crate) struct VoteWords {
    /// Where the rank sleeps that hears the others.
    pub(crate) bell: Line<Bell>,
}

/// What one rank has said. Stored by this rank only. All zero: nothing yet.
#[repr(C)]
pub(crate) struct Slip {
    /// Of which round it is; stored after the rest.
    pub(crate) round: AtomicU64,
    /// [`DONE`], [`FAILED`] or [`OPEN`].
    pub(crate) kind: AtomicU32,
    /// Nonzero when the rank takes no part any more.
    pub(crate) left: AtomicU32,
    /// Why it failed.
    pub(crate) reason: Text<60>,
}

/// `kind`: it has done its part.
pub(crate) const DONE: u32 = 1;
/// `kind`: it has failed.
pub(crate) const FAILED: u32 = 2;
/// `kind`: it has not done its part.
pub(crate) const OPEN: u32 = 3;
