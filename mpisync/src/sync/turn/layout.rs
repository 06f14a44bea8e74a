//! The words of a turn, on each node its own.

use crate::shm::atomic::{AtomicU32, AtomicU64};

/// Of a turn. All zero is the first state: it is rank 0's turn.
#[repr(C, align(128))]
pub(crate) struct TurnWords {
    /// How many turns are over, as far as this node has to know: whose ranks come next, knows it.
    /// Only ever goes up.
    pub(crate) over: AtomicU64,
    /// The rank that died before its turn was over, plus one.
    pub(crate) lost: AtomicU32,
}
