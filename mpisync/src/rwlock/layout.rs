//! The words of a node's lock, their meaning and their writers.

use crate::rwlock::range::layout::{RangeSlot, RangeWords};
use crate::shm::atomic::{AtomicU32, Ordering};
use crate::shm::event::Sleepers;
use crate::shm::line::Line;
use crate::shm::program::HeldAt;
use crate::shm::segment::MAX_RANKS;

/// The words that all ranks of a node share. All zero is the initial state: nobody holds the lock.
///
/// Each line is 128 bytes, because the prefetchers of today's x86 cores fetch lines in pairs.
#[repr(C)]
pub(crate) struct Words {
    pub(crate) gate_words: Line<GateWords>,
    pub(crate) drain: Line<Drain>,
}

/// The words of the gate, and of the turn that writers pass on to each other.
#[repr(C)]
pub(crate) struct GateWords {
    /// A [`Turn`]. Compare-and-swap by any rank of the node.
    pub(crate) turn: AtomicU32,
    /// The number of openings, each of which lets the waiting readers in. Stored only by the holder
    /// of the turn; used by a gate of the kind [`GateKind::Local`] only.
    pub(crate) openings: AtomicU32,
    /// The number of consecutive writers without an opening. Stored only by the holder of the turn.
    pub(crate) run: AtomicU32,
    /// A [`GlobalGate`]. Compare-and-swap on behalf of the writers of all nodes; used by a gate of
    /// the kind [`GateKind::Global`] only.
    pub(crate) global_gate: AtomicU32,
    /// The ranks that sleep on `turn`.
    pub(crate) turn_sleepers: Sleepers,
    /// The ranks that sleep on the word that counts openings.
    pub(crate) opening_sleepers: Sleepers,
}

impl Words {
    /// The gate of that kind.
    #[inline]
    pub(crate) fn gate(&self, kind: GateKind) -> Gate<'_> {
        let GateWords {
            turn,
            openings,
            global_gate,
            ..
        } = &self.gate_words.0;
        match kind {
            GateKind::Local => Gate {
                kind,
                word: turn,
                closed: !BIASED,
                openings,
                shift: 0,
            },
            GateKind::Global => Gate {
                kind,
                word: global_gate,
                closed: GlobalGate::CLOSED,
                openings: global_gate,
                shift: GlobalGate::ONE_OPENING.trailing_zeros(),
            },
        }
    }
}

/// Which word keeps readers out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GateKind {
    /// The turn: only ranks of this node use the lock.
    Local,
    /// A word of its own: writers of other nodes keep readers out too.
    Global,
}

/// What a reader checks before it enters.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a> {
    pub(crate) kind: GateKind,
    /// The word that keeps readers out, and has the bit [`BIASED`].
    pub(crate) word: &'a AtomicU32,
    /// The bits of `word` that are all zero while the gate is open.
    closed: u32,
    /// The word that changes with each opening.
    pub(crate) openings: &'a AtomicU32,
    /// The lowest bit of the number of openings in that word.
    shift: u32,
}

impl Gate<'_> {
    /// Whether the gate is open while its word has this value.
    #[inline]
    pub(crate) fn is_open(&self, word: u32) -> bool {
        word & self.closed == 0
    }

    /// Whether readers enter without a barrier while the word has this value.
    #[inline]
    pub(crate) fn is_biased(&self, word: u32) -> bool {
        word & (self.closed | BIASED) == BIASED
    }

    /// The number of openings so far.
    #[inline]
    pub(crate) fn openings(&self, order: Ordering) -> u32 {
        self.openings.load(order) >> self.shift
    }
}

/// The bit of a [`Turn`] and of a [`GlobalGate`] that does not keep readers out. While it is set, a
/// reader that found the gate open may have entered without a barrier. Set in an open gate; cleared
/// only by `NodeLock::revoke_bias`.
pub(crate) const BIASED: u32 = 1 << 1;

/// Where a writer waits for readers to leave, and the words of ranges, which only writers use too.
#[repr(C)]
pub(crate) struct Drain {
    /// Counts readers that left while a writer slept on it.
    pub(crate) drained: AtomicU32,
    pub(crate) sleepers: Sleepers,
    pub(crate) ranges: RangeWords,
    /// How many counters of reading threads each rank has beside [`RankWords::threads`]. Stored before any
    /// rank uses the lock.
    pub(crate) more_counters: core::sync::atomic::AtomicU32,
}

/// The words of one rank.
#[repr(C)]
pub(crate) struct RankWords {
    /// [`IDLE`], [`READING`], or [`waiting_since`] a number of openings. Stored only by this rank,
    /// or, if the rank has died, by the holder of the turn.
    pub(crate) slot: AtomicU32,
    /// This rank's request for the turn: [`NOT_REQUESTED`], [`WAITING`], [`URGENT`] or [`GRANTED`].
    pub(crate) request: AtomicU32,
    /// Used by this rank only.
    pub(crate) tally: Tally,
    /// Where in the program this rank has entered last; for reports.
    pub(crate) held_at: HeldAt,
    /// This rank's range.
    pub(crate) range: RangeSlot,
    /// The first counter of this rank's threads that read.
    pub(crate) threads: ThreadReaders,
}

/// How many threads of a rank read, as far as they count themselves here, see
/// [`shared`](crate::rwlock::shared).
#[repr(C)]
pub(crate) struct ThreadReaders {
    /// Changed by the threads of this rank, or, if the rank has died, cleared by a writer.
    pub(crate) count: AtomicU32,
    /// Where in the program one of them has entered last; for reports.
    pub(crate) held_at: HeldAt,
}

/// How many reads a rank has counted since the last opening. Not in the model, because no other
/// rank uses it.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Tally {
    openings: core::sync::atomic::AtomicU32,
    reads: core::sync::atomic::AtomicU32,
}

impl Tally {
    /// Counts a read after this number of openings. Returns the count before it.
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

/// `slot`: this rank waits to read, and there have been `openings` so far. Odd, and so distinct from
/// the other values. (The lowest 31 bits are enough: a slot is waited for at the next opening, so it
/// is never more than one behind.)
#[inline]
pub(crate) fn waiting_since(openings: u32) -> u32 {
    openings << 1 | 1
}

/// `request`: this rank does not wait for the turn.
pub(crate) const NOT_REQUESTED: u32 = 0;
/// `request`: this rank waits, and takes the turn when it finds it free.
pub(crate) const WAITING: u32 = 1;
/// `request`: this rank has waited long; the holder must hand the turn over.
pub(crate) const URGENT: u32 = 2;
/// `request`: this rank has the turn but has not entered yet: it has not noticed the handover, or
/// waits for readers to leave.
pub(crate) const GRANTED: u32 = 3;

/// The value of the turn word. Bit 0 is set if a waiting writer is [`URGENT`], bit 1 is [`BIASED`].
/// Bits 2 to 16 are the owner (its index on the node plus one, 0 for nobody), bits 17 to 31 the
/// number of waiting writers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Turn(pub(crate) u32);

impl Turn {
    /// The bit for an urgent writer.
    pub(crate) const URGENT: u32 = 1;
    const ONE_OWNER: u32 = 1 << 2;
    const OWNER: u32 = Self::ONE_WAITER - Self::ONE_OWNER;
    /// One waiting writer.
    pub(crate) const ONE_WAITER: u32 = 1 << 17;
    /// Nobody holds it and nobody waits.
    pub(crate) const FREE: Turn = Turn(0);
    /// The owner while ranks hold ranges together, see [`range`](crate::rwlock::range). Not the index
    /// of a rank.
    pub(crate) const RANGES: usize = MAX_RANKS;

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

    /// The same turn with one waiter fewer. If none is counted, the value is an old one, and the exchange with the
    /// result fails: who releases the turn may see a request before it sees that this was counted.
    #[inline]
    pub(crate) fn without_waiter(self) -> Turn {
        Turn(self.0.wrapping_sub(Self::ONE_WAITER))
    }

    /// The same turn with nobody urgent.
    #[inline]
    pub(crate) fn calmed(self) -> Turn {
        Turn(self.0 & !Self::URGENT)
    }
}

/// The value of the global gate's word. Bit 0 is set while the gate is closed, bit 1 is [`BIASED`],
/// the bits from 2 on are the number of openings. The value only advances: open, closed, open with
/// the next number, and so on; it may skip steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GlobalGate(pub(crate) u32);

impl GlobalGate {
    const CLOSED: u32 = 1;
    const ONE_OPENING: u32 = 1 << 2;

    /// A gate that was opened this number of times (modulo 2^30).
    pub(crate) fn open(openings: u32) -> GlobalGate {
        GlobalGate(openings.wrapping_mul(Self::ONE_OPENING))
    }

    /// A gate that was opened this number of times and closed again.
    pub(crate) fn closed(openings: u32) -> GlobalGate {
        GlobalGate(Self::open(openings).0 | Self::CLOSED)
    }

    /// The number of openings.
    pub(crate) fn openings(self) -> u32 {
        self.0 / Self::ONE_OPENING
    }

    /// The same gate with the bit [`BIASED`] of `other`.
    pub(crate) fn as_biased_as(self, other: GlobalGate) -> GlobalGate {
        GlobalGate(self.0 & !BIASED | other.0 & BIASED)
    }

    /// Whether it comes after `other`. Numbers wrap around; two values that are compared are never
    /// far apart.
    pub(crate) fn is_past(self, other: GlobalGate) -> bool {
        self.step().wrapping_sub(other.step()) as i32 > 0
    }

    /// A number that grows with each step, in the word's upper 31 bits.
    fn step(self) -> u32 {
        self.0 & !(Self::ONE_OPENING - 1) | (self.0 & Self::CLOSED) << 1
    }
}

const _: () = assert!(
    MAX_RANKS < (Turn::OWNER / Turn::ONE_OWNER) as usize,
    "the turn has room for the number of each rank"
);
