//! The words of a node's lock: what they mean and who may store them.

use crate::memory::atomic::AtomicU32;
use crate::memory::event::Sleepers;

/// The words that all ranks of a node share. All zero is the first state: nobody holds the lock.
///
/// Each line is 128 bytes, because the prefetchers of today's x86 cores fetch lines in pairs.
#[repr(C)]
pub(crate) struct Words {
    pub(crate) door: Line<Door>,
    pub(crate) drain: Line<Drain>,
}

/// What readers look at, and what writers pass on to each other.
#[repr(C)]
pub(crate) struct Door {
    /// A [`Turn`]: zero, or closed for readers. Compare-and-swap by any rank of the node.
    pub(crate) turn: AtomicU32,
    /// How many times those who waited to read have been let in. Stored only by who holds the turn.
    pub(crate) openings: AtomicU32,
    /// How many writers in a row have not let them in. Stored only by who holds the turn.
    pub(crate) run: AtomicU32,
    /// Who sleeps on `turn`.
    pub(crate) turn_sleepers: Sleepers,
    /// Who sleeps on `openings`.
    pub(crate) opening_sleepers: Sleepers,
}

/// Where a writer waits for readers to leave.
#[repr(C)]
pub(crate) struct Drain {
    /// Counts readers that left while a writer slept on it.
    pub(crate) drained: AtomicU32,
    pub(crate) sleepers: Sleepers,
}

/// The words of one rank.
#[repr(C)]
pub(crate) struct RankWords {
    /// [`IDLE`], [`READING`], or [`waiting_since`] so many openings. Stored only by this rank; of a rank that died,
    /// by who holds the turn.
    pub(crate) slot: AtomicU32,
    /// [`NOT_WANTED`] and so on: where this rank stands in the wait for the writers' turn.
    pub(crate) want: AtomicU32,
}

/// A value on cache lines of its own.
#[repr(C, align(128))]
pub(crate) struct Line<T>(pub(crate) T);

/// `slot`: this rank neither reads nor waits to read.
pub(crate) const IDLE: u32 = 0;
/// `slot`: this rank reads.
pub(crate) const READING: u32 = 2;

/// `slot`: this rank waits to read, and there have been `openings` so far. Odd, and so apart from the others. (The
/// number's lowest 31 bits are enough: a slot is waited for at the next opening, so it is never more than one behind.)
#[inline]
pub(crate) fn waiting_since(openings: u32) -> u32 {
    openings << 1 | 1
}

/// `want`: this rank does not wait for the turn.
pub(crate) const NOT_WANTED: u32 = 0;
/// `want`: waits, and takes the turn when it finds it free.
pub(crate) const WAITING: u32 = 1;
/// `want`: has waited long; who lets the turn go must hand it over.
pub(crate) const URGENT: u32 = 2;
/// `want`: the turn is this rank's, but it has not entered yet: it has not seen that it was handed over, or waits for
/// readers to leave.
pub(crate) const GRANTED: u32 = 3;

/// The value of the turn word: owner in bits 0 to 14 (its index on the node plus one, 0 for nobody), number of
/// waiting writers in bits 15 to 29, and bit 30 set when a waiting writer is [`URGENT`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Turn(pub(crate) u32);

impl Turn {
    const OWNER: u32 = (1 << 15) - 1;
    /// What one waiting writer adds to the word.
    pub(crate) const ONE_WAITER: u32 = 1 << 15;
    /// The bit that says that somebody is urgent.
    pub(crate) const URGENT: u32 = 1 << 30;
    /// Nobody holds it and nobody waits.
    pub(crate) const FREE: Turn = Turn(0);

    /// The index of the owner.
    #[inline]
    pub(crate) fn owner(self) -> Option<usize> {
        ((self.0 & Self::OWNER) as usize).checked_sub(1)
    }

    /// How many writers wait.
    #[inline]
    pub(crate) fn waiters(self) -> u32 {
        (self.0 & !Self::URGENT) / Self::ONE_WAITER
    }

    /// Whether a waiting writer is urgent.
    #[inline]
    pub(crate) fn is_urgent(self) -> bool {
        self.0 & Self::URGENT != 0
    }

    /// The same turn, held by `rank`.
    #[inline]
    pub(crate) fn held_by(self, rank: usize) -> Turn {
        Turn(self.0 & !Self::OWNER | (rank as u32 + 1))
    }

    /// The same turn, held by nobody.
    #[inline]
    pub(crate) fn released(self) -> Turn {
        Turn(self.0 & !Self::OWNER)
    }

    /// The same turn with one waiter less.
    #[inline]
    pub(crate) fn without_waiter(self) -> Turn {
        debug_assert!(self.waiters() > 0);
        Turn(self.0 - Self::ONE_WAITER)
    }

    /// The same turn with nobody urgent.
    #[inline]
    pub(crate) fn calmed(self) -> Turn {
        Turn(self.0 & !Self::URGENT)
    }
}

/// The largest number of ranks on one node, from the width of the turn's fields.
#[cfg(any(feature = "mpi", test))]
pub(crate) const MAX_RANKS: usize = Turn::OWNER as usize - 1;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_tells_waiting_from_reading() {
        for openings in [0, 1, 2, u32::MAX - 1, u32::MAX] {
            let slot = waiting_since(openings);
            assert!(slot != IDLE && slot != READING);
            assert_ne!(slot, waiting_since(openings.wrapping_add(1)));
        }
    }

    #[test]
    fn turn_fields_do_not_touch() {
        let turn = Turn(Turn::URGENT + 3 * Turn::ONE_WAITER).held_by(MAX_RANKS - 1);
        assert_eq!(turn.owner(), Some(MAX_RANKS - 1));
        assert_eq!(turn.waiters(), 3);
        assert!(turn.is_urgent());
        assert_eq!(turn.without_waiter().waiters(), 2);
        assert_eq!(turn.released().owner(), None);
        assert_eq!(turn.calmed().released(), Turn(3 * Turn::ONE_WAITER));
    }
}
