//! The words of a node's lock: what they mean and who may store them.

use crate::shm::atomic::{AtomicU32, Ordering};
use crate::shm::event::Sleepers;
use crate::shm::line::Line;
use crate::shm::segment::MAX_RANKS;

/// The words that all ranks of a node share. All zero is the first state: nobody holds the lock.
///
/// Each line is 128 bytes, because the prefetchers of today's x86 cores fetch lines in pairs.
#[repr(C)]
pub(crate) struct Words {
    pub(crate) entrance: Line<Entrance>,
    pub(crate) drain: Line<Drain>,
}

/// What readers look at, and what writers pass on to each other.
#[repr(C)]
pub(crate) struct Entrance {
    /// A [`Turn`]. Compare-and-swap by any rank of the node.
    pub(crate) turn: AtomicU32,
    /// How many times those who waited to read have been let in. Stored only by who holds the turn.
    /// Of a door of the kind [`DoorKind::Turn`] only.
    pub(crate) openings: AtomicU32,
    /// How many writers in a row have not let them in. Stored only by who holds the turn.
    pub(crate) run: AtomicU32,
    /// A [`Gate`]. Compare-and-swap by who opens and closes it for all writers of all nodes. Of a
    /// door of the kind [`DoorKind::Gate`] only.
    pub(crate) gate: AtomicU32,
    /// Who sleeps on `turn`.
    pub(crate) turn_sleepers: Sleepers,
    /// Who sleeps on the word that counts openings.
    pub(crate) opening_sleepers: Sleepers,
}

impl Words {
    /// What readers look at where the door is of that kind.
    #[inline]
    pub(crate) fn door(&self, kind: DoorKind) -> Door<'_> {
        let Entrance {
            turn,
            openings,
            gate,
            ..
        } = &self.entrance.0;
        match kind {
            DoorKind::Turn => Door {
                kind,
                word: turn,
                closed: !BIASED,
                openings,
                shift: 0,
            },
            DoorKind::Gate => Door {
                kind,
                word: gate,
                closed: Gate::CLOSED,
                openings: gate,
                shift: Gate::ONE_OPENING.trailing_zeros(),
            },
        }
    }
}

/// Which word keeps readers out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DoorKind {
    /// The turn: who holds the lock is a matter of this node alone.
    Turn,
    /// The gate: writers of other nodes keep readers out too.
    Gate,
}

/// What readers look at.
#[derive(Clone, Copy)]
pub(crate) struct Door<'a> {
    pub(crate) kind: DoorKind,
    /// The word that keeps readers out, and has the bit [`BIASED`].
    pub(crate) word: &'a AtomicU32,
    /// The bits of `word` of which none is set while readers may come in.
    closed: u32,
    /// The word that changes with each opening.
    pub(crate) openings: &'a AtomicU32,
    /// Where in that word the number of openings begins.
    shift: u32,
}

impl Door<'_> {
    /// Whether readers may come in while the word has this value.
    #[inline]
    pub(crate) fn lets_in(&self, word: u32) -> bool {
        word & self.closed == 0
    }

    /// Whether readers may come in without a barrier while the word has this value.
    #[inline]
    pub(crate) fn is_biased(&self, word: u32) -> bool {
        word & (self.closed | BIASED) == BIASED
    }

    /// How many openings there have been.
    #[inline]
    pub(crate) fn openings(&self, order: Ordering) -> u32 {
        self.openings.load(order) >> self.shift
    }
}

/// The bit of a [`Turn`] and of a [`Gate`] that does not keep readers out. While it is set, a
/// reader that found the door open may have come in without a barrier. Set in an open door; taken
/// away only by `NodeLock::end_bias`.
pub(crate) const BIASED: u32 = 1 << 1;

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
    /// [`IDLE`], [`READING`], or [`waiting_since`] so many openings. Stored only by this rank; of a
    /// rank that died, by who holds the turn.
    pub(crate) slot: AtomicU32,
    /// [`NOT_WANTED`] and so on: where this rank stands in the wait for the writers' turn.
    pub(crate) want: AtomicU32,
    /// Used by this rank only.
    pub(crate) tally: Tally,
}

/// How many reads a rank has counted since the last opening. Not in the model: no other rank looks.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Tally {
    openings: core::sync::atomic::AtomicU32,
    reads: core::sync::atomic::AtomicU32,
}

impl Tally {
    /// Counts a read after so many openings; how many there were before it.
    #[inline]
    pub(crate) fn count(&self, openings: u32) -> u32 {
        let before = if self.openings.load(Ordering::Relaxed) == openings {
            self.reads.load(Ordering::Relaxed)
        } else {
            self.openings.store(openings, Ordering::Relaxed);
            0
        };
        self.reads.store(before.wrapping_add(1), Ordering::Relaxed);
        before
    }
}

/// `slot`: this rank neither reads nor waits to read.
pub(crate) const IDLE: u32 = 0;
/// `slot`: this rank reads.
pub(crate) const READING: u32 = 2;

/// `slot`: this rank waits to read, and there have been `openings` so far. Odd, and so apart from
/// the others. (The number's lowest 31 bits are enough: a slot is waited for at the next opening,
/// so it is never more than one behind.)
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
/// `want`: the turn is this rank's, but it has not entered yet: it has not seen that it was handed
/// over, or waits for readers to leave.
pub(crate) const GRANTED: u32 = 3;

/// The value of the turn word: bit 0 set when a waiting writer is [`URGENT`], bit 1 [`BIASED`],
/// owner in bits 2 to 16 (its index on the node plus one, 0 for nobody), and the number of waiting
/// writers in bits 17 to 31.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Turn(pub(crate) u32);

impl Turn {
    /// The bit that says that somebody is urgent.
    pub(crate) const URGENT: u32 = 1;
    const ONE_OWNER: u32 = 1 << 2;
    const OWNER: u32 = Self::ONE_WAITER - Self::ONE_OWNER;
    /// What one waiting writer adds to the word.
    pub(crate) const ONE_WAITER: u32 = 1 << 17;
    /// Nobody holds it and nobody waits.
    pub(crate) const FREE: Turn = Turn(0);

    /// The index of the owner.
    #[inline]
    pub(crate) fn owner(self) -> Option<usize> {
        ((self.0 & Self::OWNER) / Self::ONE_OWNER)
            .checked_sub(1)
            .map(|rank| rank as usize)
    }

    /// How many writers wait.
    #[inline]
    pub(crate) fn waiters(self) -> u32 {
        self.0 / Self::ONE_WAITER
    }

    /// Whether a waiting writer is urgent.
    #[inline]
    pub(crate) fn is_urgent(self) -> bool {
        self.0 & Self::URGENT != 0
    }

    /// The same turn, held by `rank`.
    #[inline]
    pub(crate) fn held_by(self, rank: usize) -> Turn {
        Turn(self.released().0 | ((rank as u32 + 1) * Self::ONE_OWNER))
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

/// The value of the gate word: bit 0 set while readers are kept out, bit 1 [`BIASED`], and from bit
/// 2 on the number of openings. It only ever goes on: open, closed, open for the next time, and so
/// on, and may leave steps out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gate(pub(crate) u32);

impl Gate {
    const CLOSED: u32 = 1;
    const ONE_OPENING: u32 = 1 << 2;
}

impl Gate {
    /// Opened so many times. (The lowest 30 bits of the number are kept.)
    pub(crate) fn open(openings: u32) -> Gate {
        Gate(openings.wrapping_mul(Self::ONE_OPENING))
    }

    /// Opened so many times and closed again.
    pub(crate) fn closed(openings: u32) -> Gate {
        Gate(Self::open(openings).0 | Self::CLOSED)
    }

    /// The number of openings.
    pub(crate) fn openings(self) -> u32 {
        self.0 / Self::ONE_OPENING
    }

    /// The same gate with the bit [`BIASED`] of `other`.
    pub(crate) fn as_biased_as(self, other: Gate) -> Gate {
        Gate(self.0 & !BIASED | other.0 & BIASED)
    }

    /// Whether it comes after `other`. Numbers wrap around; two gates that meet are never far
    /// apart.
    pub(crate) fn is_past(self, other: Gate) -> bool {
        self.step().wrapping_sub(other.step()) as i32 > 0
    }

    /// A number that grows with each step, in the word's upper 31 bits.
    fn step(self) -> u32 {
        self.0 & !(Self::ONE_OPENING - 1) | (self.0 & Self::CLOSED) << 1
    }
}

const _: () = assert!(
    MAX_RANKS < (Turn::OWNER / Turn::ONE_OWNER) as usize,
    "the turn has room for the number of each seat"
);

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
        let turn = Turn(Turn::URGENT + BIASED + 3 * Turn::ONE_WAITER).held_by(MAX_RANKS - 1);
        assert_eq!(turn.owner(), Some(MAX_RANKS - 1));
        assert_eq!(turn.waiters(), 3);
        assert!(turn.is_urgent());
        assert_eq!(turn.without_waiter().waiters(), 2);
        assert_eq!(turn.released().owner(), None);
        let rest = turn.calmed().released();
        assert_eq!(rest, Turn(3 * Turn::ONE_WAITER + BIASED));
    }

    #[test]
    fn a_gate_only_goes_on() {
        for openings in [0, 1, (1 << 30) - 1, u32::MAX] {
            let (open, closed) = (Gate::open(openings), Gate::closed(openings));
            let next = Gate::open(openings.wrapping_add(1));
            assert!(closed.is_past(open) && next.is_past(closed) && next.is_past(open));
            assert!(!open.is_past(closed) && !closed.is_past(next) && !open.is_past(next));
            let biased = Gate(open.0 | BIASED);
            assert!(!biased.is_past(open) && !open.is_past(biased));
            assert_eq!(closed.as_biased_as(biased).openings(), closed.openings());
        }
    }
}
