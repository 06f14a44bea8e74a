//! The words of ranges in the memory of a node's lock. All zero is the initial state.
//!
//! The lock of the table guards the other words, so that one alone is an atomic of the model checker.

use crate::rwlock::range::table::{self, Group, Slot, State};
use crate::shm::atomic::AtomicU32 as ModelledU32;
use crate::shm::event::FutexWord;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The words that all ranks of the node share.
#[repr(C)]
pub(crate) struct RangeWords {
    /// The rank that changes the table, by its index on the node plus one, or 0. On one node only, as
    /// are all words up to `changed`.
    pub(super) lock: ModelledU32,
    /// [`Group`]. Stored, as the slots are, under `lock`. `broken_by` is a rank plus one.
    next: AtomicU64,
    opened: AtomicU64,
    limit: AtomicU64,
    broken_by: AtomicU32,
    /// Ranks that wait for a range sleep here.
    pub(super) changed: FutexWord,
    /// Over several nodes: the rank that has opened the group for which this node has the write lock,
    /// plus one. Stored by that rank with the node's turn.
    pub(super) opener: AtomicU32,
    /// Over several nodes: the rank that has died with a range of that group, plus one. Cleared by
    /// the opener with the node's turn; stored by the node's server once no other rank holds a range.
    pub(super) dead: AtomicU32,
}

/// The words of one rank.
#[repr(C)]
#[derive(Default)]
pub(crate) struct RangeSlot {
    /// [`FREE`], [`WAITS`] or [`HOLDS`]. On one node stored under the lock of the table. Over several
    /// nodes stored by this rank: [`HOLDS`] from before it changes the first item of its range until
    /// all nodes have its changes, and else [`FREE`].
    state: AtomicU32,
    /// On one node only.
    ticket: AtomicU64,
    /// The range of a rank that holds it, on one node also of one that waits.
    start: AtomicU64,
    end: AtomicU64,
}

const FREE: u32 = 0;
const WAITS: u32 = 1;
const HOLDS: u32 = 2;

impl RangeWords {
    #[cfg(test)]
    pub(in crate::rwlock) fn new() -> Self {
        use crate::shm::event::Sleepers;
        RangeWords {
            lock: ModelledU32::new(0),
            next: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            broken_by: AtomicU32::new(0),
            changed: FutexWord {
                word: ModelledU32::new(0),
                sleepers: Sleepers::default(),
            },
            opener: AtomicU32::new(0),
            dead: AtomicU32::new(0),
        }
    }

    /// Under the lock of the table.
    pub(super) fn group(&self) -> Group {
        Group {
            next: self.next.load(Ordering::Relaxed),
            opened: self.opened.load(Ordering::Relaxed),
            limit: self.limit.load(Ordering::Relaxed),
            broken_by: self.broken_by.load(Ordering::Relaxed).checked_sub(1),
        }
    }

    /// Under the lock of the table.
    pub(super) fn set_group(&self, group: &Group) {
        let broken_by = group.broken_by.map_or(0, |rank| rank + 1);
        self.broken_by.store(broken_by, Ordering::Relaxed);
        self.next.store(group.next, Ordering::Relaxed);
        self.opened.store(group.opened, Ordering::Relaxed);
        self.limit.store(group.limit, Ordering::Relaxed);
    }
}

impl RangeSlot {
    /// Whether the rank holds a range.
    pub(in crate::rwlock) fn holds(&self) -> bool {
        self.state.load(Ordering::Relaxed) == HOLDS
    }

    /// Whether the rank holds a range that overlaps this one. Only of a rank that waits elsewhere.
    pub(in crate::rwlock) fn holds_some_of(&self, range: &Range<u64>) -> bool {
        let held = self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed);
        self.holds() && table::overlap(&held, range)
    }

    /// Over several nodes, as the rank: it takes its range up.
    pub(super) fn take_up(&self, range: &Range<u64>) {
        self.start.store(range.start, Ordering::Relaxed);
        self.end.store(range.end, Ordering::Relaxed);
        self.state.store(HOLDS, Ordering::Relaxed);
        // If the rank dies with a changed item, the server of its node finds the state.
        fence(Ordering::SeqCst);
    }

    /// Over several nodes, as the rank: it gives its range back. Release: its changes come before.
    pub(super) fn give_back(&self) {
        self.state.store(FREE, Ordering::Release);
    }

    /// Under the lock of the table.
    pub(super) fn get(&self) -> Slot {
        let state = match self.state.load(Ordering::Relaxed) {
            WAITS => State::Waits,
            HOLDS => State::Holds,
            _ => return Slot::default(),
        };
        Slot {
            state,
            ticket: self.ticket.load(Ordering::Relaxed),
            range: self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed),
        }
    }

    /// Under the lock of the table. If the rank that calls it dies in here, the slot has its old
    /// state or its new one: the values change in a free slot only.
    pub(super) fn set(&self, slot: &Slot) {
        if slot.state != State::Free {
            self.ticket.store(slot.ticket, Ordering::Relaxed);
            self.start.store(slot.range.start, Ordering::Relaxed);
            self.end.store(slot.range.end, Ordering::Relaxed);
        }
        let state = match slot.state {
            State::Free => FREE,
            State::Waits => WAITS,
            State::Holds => HOLDS,
        };
        // Release: whoever takes the table over from this rank finds the values.
        self.state.store(state, Ordering::Release);
    }
}
