//! The words of a turn. Each node has its own.

use crate::shm::atomic::{AtomicU32, AtomicU64};

/// The words of a turn. All zeros are the initial state: it is rank 0's turn.
#[repr(C, align(128))]
pub(crate) struct TurnWords {
    /// The number of finished turns, as far as this node knows; the node of the next rank knows the
    /// exact number. Never decreases.
    pub(crate) over: AtomicU64,
    /// The rank that died before it passed its turn on, plus one.
    pub(crate) lost: AtomicU32,
}
