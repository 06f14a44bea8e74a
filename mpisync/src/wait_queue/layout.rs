//! The words of a wait queue: what they mean and who may store them.

use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::event::{Event, Sleepers};
// Not in the model: what they say matters where a rank dies, or is passed on with the word beside it.
use core::sync::atomic;

/// The words that all who stand in the list share. All zero is the first state: nobody waits, and
/// there are no permits.
#[repr(C, align(128))]
pub(crate) struct WaitWords {
    /// A [`FreePermits`]. Changed by anybody.
    pub(crate) free_permits: AtomicU64,
    /// How many tickets have been drawn.
    pub(crate) tickets: AtomicU64,
    /// The seat of who died in the middle of a change, or with what nobody else may have, plus one.
    pub(crate) broken: atomic::AtomicU32,
    /// Nonzero when the node's server has somebody of another node to tell. Stored by ranks, taken
    /// away by the server.
    pub(crate) called: AtomicU32,
    /// How many bytes lie behind the seats, where that may change. Stored by who has the only
    /// permit.
    pub(crate) cargo: atomic::AtomicU64,
    /// How many permits there are, free or not.
    pub(crate) total: atomic::AtomicU32,
}

/// Where one rank stands, of whatever node. All zero: it neither waits nor has anything.
#[repr(C)]
pub(crate) struct Seat {
    /// A [`Want`]. Stored by who acts for this seat; granted by anybody.
    pub(crate) want: AtomicU64,
    /// How many permits it wants; stored before `want`.
    pub(crate) count: atomic::AtomicU32,
    /// How many permits it has, and the bit [`UNSETTLED`] while who acts for it changes the list.
    pub(crate) held: atomic::AtomicU32,
    /// What it sleeps on.
    pub(crate) futex_word: AtomicU32,
    pub(crate) sleepers: Sleepers,
}

impl Seat {
    /// The event of being served.
    pub(crate) fn event(&self) -> Event<'_> {
        Event {
            word: &self.futex_word,
            sleepers: &self.sleepers,
        }
    }
}

/// `held`: who acts for this seat is in the middle of a change that others cannot finish.
pub(crate) const UNSETTLED: u32 = 1 << 31;

/// The most permits that there can be.
pub(crate) const MOST_PERMITS: u32 = FreePermits::PERMITS as u32;

/// The value of the word of free permits: how many permits are free (bits 0 to 27), how many wait
/// (28 to 47), whether somebody serves them (48), and a number that changes with every newcomer (49
/// to 63).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FreePermits(pub(crate) u64);

impl FreePermits {
    const PERMITS: u64 = (1 << 28) - 1;
    pub(crate) const ONE_WAITER: u64 = 1 << 28;
    pub(super) const WAITERS: u64 = ((1 << 20) - 1) << 28;
    const SERVED: u64 = 1 << 48;
    const ONE_CHANGE: u64 = 1 << 49;
    /// What somebody adds who comes to wait.
    pub(crate) const ONE_NEWCOMER: u64 = Self::ONE_WAITER + Self::ONE_CHANGE;

    /// So many free permits, and nobody who waits.
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

    /// The same with so many permits less.
    #[inline]
    pub(crate) fn without(self, permits: u32) -> FreePermits {
        debug_assert!(self.permits() >= permits);
        FreePermits(self.0 - u64::from(permits))
    }

    /// The same, while somebody serves those who wait.
    pub(crate) fn served(self) -> FreePermits {
        FreePermits(self.0 | Self::SERVED)
    }

    /// The same, while nobody does.
    pub(crate) fn unserved(self) -> FreePermits {
        FreePermits(self.0 & !Self::SERVED)
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
