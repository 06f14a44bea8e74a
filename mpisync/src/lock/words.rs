//! The words of a node's lock: what they mean and who may store them.

use crate::memory::atomic::AtomicU32;
use crate::wait::Sleepers;

/// The words that all ranks of a node share, one cache line a purpose. All zero is the first state: open and free.
///
/// 128 bytes a line, because the prefetchers of today's x86 cores fetch lines in pairs.
#[repr(C)]
pub(crate) struct Words {
    /// Even: open, readers may enter. Odd: closed. Counts up, so that each closing has a number of its own.
    /// Stored only by the rank that holds the turn.
    pub(crate) gate: Line<AtomicU32>,
    /// Who holds the writers' turn and how many wait for it, see [`Turn`].
    pub(crate) turn: Line<TurnWords>,
    /// What only waiting ranks touch.
    pub(crate) slow: Line<SlowWords>,
}

/// The writers' line.
#[repr(C)]
pub(crate) struct TurnWords {
    /// A [`Turn`]; compare-and-swap by any rank of the node.
    pub(crate) turn: AtomicU32,
    /// Who sleeps on `turn`.
    pub(crate) sleepers: Sleepers,
    /// How many writers in a row found the gate closed by the one before. Stored only by who holds the turn.
    pub(crate) run: AtomicU32,
}

/// Words that only waiting ranks touch.
#[repr(C)]
pub(crate) struct SlowWords {
    /// Counts readers that left while the gate was closed; the draining writer sleeps on it.
    pub(crate) drained: AtomicU32,
    /// The draining writer, when it sleeps on `drained`.
    pub(crate) drain_sleepers: Sleepers,
    /// Who sleeps on `gate`.
    pub(crate) gate_sleepers: Sleepers,
}

/// The words of one rank.
#[repr(C)]
pub(crate) struct RankWords {
    /// [`IDLE`], [`READING`], or the number of the closing during which this rank waits to read. Stored only by
    /// this rank; of a rank that died, by who holds the turn.
    pub(crate) slot: AtomicU32,
    /// [`NOT_WANTED`] and so on: where this rank stands in the wait for the writers' turn.
    pub(crate) want: AtomicU32,
}

/// A value on cache lines of its own.
#[repr(C, align(128))]
pub(crate) struct Line<T>(pub(crate) T);

/// `slot`: this rank neither reads nor waits to read.
pub(crate) const IDLE: u32 = 0;
/// `slot`: this rank reads. Even, because a slot may also hold the number of a closing, and those are odd.
pub(crate) const READING: u32 = 2;

/// `want`: this rank does not wait for the turn.
pub(crate) const NOT_WANTED: u32 = 0;
/// `want`: waits, and takes the turn when it finds it free.
pub(crate) const WAITING: u32 = 1;
/// `want`: has waited long; who lets the turn go must hand it over.
pub(crate) const URGENT: u32 = 2;
/// `want`: the turn was handed over to this rank, which has not seen it yet.
pub(crate) const GRANTED: u32 = 3;

/// Whether a gate of this number lets readers in.
#[inline]
pub(crate) fn is_open(gate: u32) -> bool {
    gate & 1 == 0
}

/// The number of the closing that follows the open gate `gate`.
#[inline]
pub(crate) fn close(gate: u32) -> u32 {
    debug_assert!(is_open(gate));
    gate + 1
}

/// The number of the opening that follows the closed gate `gate`.
#[inline]
pub(crate) fn open(gate: u32) -> u32 {
    debug_assert!(!is_open(gate));
    gate.wrapping_add(1)
}

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
    fn gate_numbers_wrap_and_stay_apart_from_the_slot_states() {
        let mut gate = u32::MAX - 3;
        for _ in 0..4 {
            let closed = close(gate);
            assert!(!is_open(closed) && is_open(IDLE) && is_open(READING));
            gate = open(closed);
            assert!(is_open(gate));
        }
        assert_eq!(gate, 4);
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
