//! The words of a wait queue, their meaning, and which ranks may store them.

use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::event::{Event, Sleepers};
use crate::shm::program::HeldAt;
// Not in the model: these words matter if a rank dies, or are published by the word beside them.
use core::sync::atomic;

/// The words that all ranks share. All zero is the initial state: no waiters and no permits.
#[repr(C, align(128))]
pub(crate) struct WaitWords {
    /// A [`FreePermits`]. Changed by any rank.
    pub(crate) free_permits: AtomicU64,
    /// The number of tickets that have been drawn.
    pub(crate) tickets: AtomicU64,
    /// The slot of the rank that was last found to have died in the middle of a change or with
    /// poisoned permits, plus one.
    pub(crate) broken: atomic::AtomicU32,
    /// Nonzero if the node's server has to notify a rank of another node. Set by ranks, cleared by
    /// the server.
    pub(crate) called: AtomicU32,
    /// The number of bytes behind the slots plus one, for [`Cargo::Once`]; 0 before they are stored.
    /// Stored by the holder of the only permit.
    ///
    /// [`Cargo::Once`]: crate::wait_queue::cargo::Cargo::Once
    pub(crate) cargo: atomic::AtomicU64,
    /// The number of permits, free or not.
    pub(crate) total: atomic::AtomicU32,
    /// The number of tickets when no rank was left that could wake the waiters.
    pub(crate) abandoned: atomic::AtomicU64,
    /// The slot of the rank that makes these words anew, plus one.
    pub(crate) rebuilder: atomic::AtomicU32,
}

/// The state of one rank, of any node. All zero: it neither waits nor has a permit.
#[repr(C)]
pub(crate) struct Slot {
    /// A [`Want`]. Stored by the rank or the server that acts for this slot; granted by any rank.
    pub(crate) want: AtomicU64,
    /// The number of permits that it wants; stored before `want`.
    pub(crate) count: atomic::AtomicU32,
    /// The number of permits that it has, and the bit [`UNSETTLED`] during a change of the queue.
    pub(crate) held: atomic::AtomicU32,
    /// Nonzero while it waits without a time limit; stored before `want`.
    pub(crate) is_endless: atomic::AtomicU32,
    /// Where in the program it has taken permits last; for reports.
    pub(crate) held_at: HeldAt,
    /// The word on which it sleeps.
    pub(crate) futex_word: AtomicU32,
    pub(crate) sleepers: Sleepers,
}

impl Slot {
    /// The event of being served.
    pub(crate) fn event(&self) -> Event<'_> {
        Event {
            word: &self.futex_word,
            sleepers: &self.sleepers,
        }
    }
}

/// In `held`: a change is under way that other ranks cannot complete.
pub(crate) const UNSETTLED: u32 = 1 << 31;

/// The most permits that there can be.
pub(crate) const MOST_PERMITS: u32 = FreePermits::PERMITS as u32;

/// The value of the word of free permits: the number of free permits (bits 0 to 27), the number of
/// waiters (28 to 47), whether a rank serves them (48), and a number that changes with every new
/// waiter (49 to 63).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FreePermits(pub(crate) u64);

impl FreePermits {
    const PERMITS: u64 = (1 << 28) - 1;
    pub(crate) const ONE_WAITER: u64 = 1 << 28;
    pub(super) const WAITERS: u64 = ((1 << 20) - 1) << 28;
    const SERVED: u64 = 1 << 48;
    const ONE_CHANGE: u64 = 1 << 49;
    /// What a new waiter adds.
    pub(crate) const ONE_NEWCOMER: u64 = Self::ONE_WAITER + Self::ONE_CHANGE;

    /// Free permits, and no waiters.
    pub(crate) fn of(permits: u32) -> FreePermits {
        FreePermits(permits.into())
    }

    #[inline]
    pub(crate) fn permits(self) -> u32 {
        (self.0 & Self::PERMITS) as u32
    }

    #[inline]
    pub(crate) fn waiters(self) -> u32 {
        ((self.0 & Self::WAITERS) / Self::ONE_WAITER) as u32
    }

    #[inline]
    pub(crate) fn is_served(self) -> bool {
        self.0 & Self::SERVED != 0
    }

    /// The same with fewer permits.
    #[inline]
    pub(crate) fn without(self, permits: u32) -> FreePermits {
        debug_assert!(self.permits() >= permits);
        FreePermits(self.0 - u64::from(permits))
    }

    /// The same, while a rank serves the waiters.
    pub(crate) fn served(self) -> FreePermits {
        FreePermits(self.0 | Self::SERVED)
    }

    /// The same, while no rank serves.
    pub(crate) fn unserved(self) -> FreePermits {
        FreePermits(self.0 & !Self::SERVED)
    }

    /// So many free permits and no waiters, with another number.
    pub(crate) fn renewed(self, permits: u32) -> FreePermits {
        FreePermits(self.0 & !(Self::ONE_CHANGE - 1) | u64::from(permits)).changed()
    }

    /// The same with another number.
    pub(crate) fn changed(self) -> FreePermits {
        FreePermits(self.0.wrapping_add(Self::ONE_CHANGE))
    }
}

/// The value of `want`: 0 for a rank that does not wait, else its ticket and whether it has been
/// served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Want(pub(crate) u64);

impl Want {
    /// It does not wait.
    pub(crate) const NOTHING: Want = Want(0);
    const WAITING: u64 = 1;
    const GRANTED: u64 = 2;
    const STATE: u64 = 3;

    pub(crate) fn waiting(ticket: u64) -> Want {
        Want(ticket << 2 | Self::WAITING)
    }

    pub(crate) fn granted(ticket: u64) -> Want {
        Want(ticket << 2 | Self::GRANTED)
    }

    pub(crate) fn is_waiting(self) -> bool {
        self.0 & Self::STATE == Self::WAITING
    }

    pub(crate) fn is_granted(self) -> bool {
        self.0 & Self::STATE == Self::GRANTED
    }

    pub(crate) fn ticket(self) -> u64 {
        self.0 >> 2
    }
}
