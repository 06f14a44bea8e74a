//! The words of a vote, on each node its own.

use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::cells::Text;
use crate::shm::event::FutexWord;
use crate::shm::line::Line;

/// Of a vote. All zero is the first state.
#[repr(C, align(128))]
pub(crate) struct VoteWords {
    /// Where the rank sleeps that hears the others.
    pub(crate) futex_word: Line<FutexWord>,
}

/// What one rank has said. Stored by this rank only. All zero: nothing yet.
#[repr(C)]
pub(crate) struct VoteSlot {
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
