//! The rules by which ranks get ranges. This file accesses no shared memory and sends no messages.
//!
//! Each rank that asks for a range draws a ticket. A range is granted once no smaller ticket has a
//! range that overlaps it (Lamport's bakery, with ranges), so ranks whose ranges overlap take turns
//! in the order of their tickets.
//!
//! Ranges are granted while a *group* has the write lock. The members of the open group are all
//! ranks with a ticket below its limit. A rank that asks later joins, which raises the limit, unless
//! another rank waits for the lock itself or the group has become long. When no member is left, the
//! group ends. Then the smallest waiting ticket takes the write lock and opens the next group.

use std::ops::Range;

/// The most ranks that join a group after it was opened.
const MOST: u64 = 64;

/// A rank's range and ticket.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) state: State,
    pub(crate) ticket: u64,
    pub(crate) range: Range<u64>,
}

/// What a rank does with its range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum State {
    /// It has none.
    #[default]
    Free,
    /// It waits for it.
    Waits,
    /// It has it.
    Holds,
}

/// The tickets, and the group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Group {
    /// The next ticket.
    pub(crate) next: u64,
    /// The next ticket when the last group was opened.
    pub(crate) opened: u64,
    /// The members of the last group have tickets below this.
    pub(crate) limit: u64,
    /// The rank that has died with a range of the last group.
    pub(crate) broken_by: Option<u32>,
}

/// The ranges of all ranks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Table {
    /// By rank.
    pub(crate) slots: Vec<Slot>,
    pub(crate) group: Group,
}

/// What a waiting rank does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// It has its range.
    Holds,
    /// It takes the write lock and opens a group.
    Opens,
    /// It waits.
    Waits,
    /// This rank has died with a range of the group.
    Broken(u32),
}

impl Slot {
    fn is_free(&self) -> bool {
        self.state == State::Free
    }

    /// Whether `later` has to wait until this slot is free.
    fn precedes(&self, later: &Slot) -> bool {
        !self.is_free() && self.ticket < later.ticket && overlap(&self.range, &later.range)
    }
}

/// Whether two ranges, which are not empty, have a common item.
pub(super) fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

impl Table {
    /// The ranges of this number of ranks, which have none.
    pub(crate) fn new(ranks: usize) -> Self {
        Table {
            slots: vec![Slot::default(); ranks],
            group: Group::default(),
        }
    }

    /// `rank`, which has no range, begins to wait for one that is not empty.
    pub(crate) fn join(&mut self, rank: usize, range: Range<u64>) {
        debug_assert!(!range.is_empty());
        let ticket = self.group.next;
        self.group.next += 1;
        self.slots[rank] = Slot {
            state: State::Waits,
            ticket,
            range,
        };
    }

    /// Makes `rank`, which has just begun to wait, a member of the group, if that can be done.
    /// `is_open` is whether the last group still has the write lock, and `others_wait` whether another
    /// rank waits for the lock itself.
    pub(crate) fn admit(&mut self, rank: usize, is_open: bool, others_wait: bool) {
        let ticket = self.slots[rank].ticket;
        if is_open && self.may_join(ticket, others_wait) {
            self.group.limit = self.group.limit.max(ticket + 1);
        }
    }

    /// Whether the rank with this ticket is a member of the open group, or may become one.
    fn may_join(&self, ticket: u64, others_wait: bool) -> bool {
        let is_full = ticket >= self.group.opened + MOST;
        ticket < self.group.limit || !others_wait && !is_full
    }

    /// What `rank`, which waits, does next; the arguments are those of [`admit`](Self::admit). The
    /// group changes only if the rank has its range then.
    pub(crate) fn advance(&mut self, rank: usize, is_open: bool, others_wait: bool) -> Next {
        let ticket = self.slots[rank].ticket;
        if !is_open {
            let waiting = self.slots.iter().filter(|slot| slot.state == State::Waits);
            let first = waiting.map(|slot| slot.ticket).min();
            return if first == Some(ticket) {
                Next::Opens
            } else {
                Next::Waits
            };
        }
        if let Some(dead) = self.group.broken_by {
            return Next::Broken(dead);
        }
        let slot = &self.slots[rank];
        let is_free = || !self.slots.iter().any(|other| other.precedes(slot));
        if !self.may_join(ticket, others_wait) || !is_free() {
            return Next::Waits;
        }
        self.group.limit = self.group.limit.max(ticket + 1);
        self.slots[rank].state = State::Holds;
        Next::Holds
    }

    /// A rank that waits has taken the write lock: all that wait now are the members of a new group.
    pub(crate) fn open(&mut self) {
        let next = self.group.next;
        self.group = Group {
            next,
            opened: next,
            limit: next,
            broken_by: None,
        };
    }

    /// `rank` has no range any more, and does not wait for one.
    pub(crate) fn leave(&mut self, rank: usize) {
        self.slots[rank] = Slot::default();
    }

    /// [`leave`](Self::leave) for a rank that has died. `number` is that of the rank for reports.
    pub(crate) fn reclaim(&mut self, rank: usize, number: u32) {
        if self.slots[rank].state == State::Holds {
            self.group.broken_by.get_or_insert(number);
        }
        self.leave(rank);
    }

    /// Whether the group, which is open, has members. Of a group that is broken, those that wait do
    /// not count: they get an error.
    pub(crate) fn has_members(&self) -> bool {
        let is_broken = self.group.broken_by.is_some();
        self.slots.iter().any(|slot| match slot.state {
            State::Free => false,
            State::Waits => !is_broken && slot.ticket < self.group.limit,
            State::Holds => true,
        })
    }

    /// The ranks that hold a range.
    pub(crate) fn holders(&self) -> impl Iterator<Item = usize> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| slot.state == State::Holds)
            .map(|(rank, _)| rank)
    }

    /// The ranks whose death `rank` has to notice, which waits for a range or for the lock: those that
    /// hold ranges, or if there are none the members of the group; and the one that is next before
    /// it. Others are watched by the ranks behind them.
    pub(crate) fn watched(&self, rank: usize, is_open: bool) -> Vec<usize> {
        let mut watched: Vec<usize> = self.holders().collect();
        let ranks = || (0..self.slots.len()).filter(|&other| other != rank);
        let waits = |other: &usize| self.slots[*other].state == State::Waits;
        if watched.is_empty() && is_open {
            watched.extend(ranks().filter(waits));
        }
        let slot = &self.slots[rank];
        if !slot.is_free() {
            let is_before = |other: &usize| match is_open {
                true => self.slots[*other].precedes(slot),
                false => self.slots[*other].ticket < slot.ticket,
            };
            let before = ranks().filter(waits).filter(is_before);
            watched.extend(before.max_by_key(|&other| self.slots[other].ticket));
        }
        watched.retain(|&other| other != rank);
        watched
    }

    /// The ranks for which `rank` waits: those with ranges that overlap its own and come first; if
    /// there are none, all that have to leave the group or to open it.
    pub(crate) fn awaited(&self, rank: usize, is_open: bool) -> Vec<usize> {
        let slot = &self.slots[rank];
        let ranks = || (0..self.slots.len()).filter(|&other| other != rank);
        let before: Vec<usize> = ranks()
            .filter(|&other| self.slots[other].precedes(slot))
            .collect();
        if !before.is_empty() {
            return before;
        }
        let keeps = |other: &Slot| match is_open {
            true => other.state == State::Holds && slot.ticket >= self.group.limit,
            false => !other.is_free() && other.ticket < slot.ticket,
        };
        ranks().filter(|&other| keeps(&self.slots[other])).collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn opened(ranks: usize, ranges: &[Range<u64>]) -> Table {
        let mut table = Table::new(ranks);
        for (rank, range) in ranges.iter().enumerate() {
            table.join(rank, range.clone());
        }
        assert_eq!(table.advance(0, false, false), Next::Opens);
        table.open();
        table
    }

    #[test]
    fn ranges_that_overlap_wait_in_the_order_of_their_tickets() {
        let mut table = opened(4, &[0..4, 3..6, 5..9, 9..10]);
        let mut next = |rank| table.advance(rank, true, false);
        assert_eq!(next(2), Next::Waits, "rank 1 comes first");
        assert_eq!(next(0), Next::Holds);
        assert_eq!(next(1), Next::Waits);
        assert_eq!(next(3), Next::Holds);
        table.leave(0);
        assert_eq!(table.awaited(2, true), [1]);
        assert_eq!(table.advance(2, true, false), Next::Waits);
        assert_eq!(table.advance(1, true, false), Next::Holds);
        table.leave(1);
        assert_eq!(table.advance(2, true, false), Next::Holds);
        assert!(table.holders().eq([2, 3]));
    }

    #[test]
    fn the_first_to_wait_opens() {
        let mut table = Table::new(3);
        table.join(2, 0..1);
        table.join(0, 5..6);
        assert_eq!(table.advance(0, false, false), Next::Waits);
        assert_eq!(table.awaited(0, false), [2]);
        assert_eq!(table.advance(2, false, false), Next::Opens);
        table.leave(2);
        assert_eq!(table.advance(0, false, false), Next::Opens);
    }

    #[test]
    fn nobody_joins_while_others_wait_for_the_lock() {
        let mut table = opened(3, std::slice::from_ref(&(0..1)));
        assert_eq!(table.advance(0, true, true), Next::Holds, "a member");
        table.join(1, 1..2);
        assert_eq!(table.advance(1, true, true), Next::Waits);
        assert_eq!(table.awaited(1, true), [0]);
        assert!(table.has_members());
        table.leave(0);
        assert!(!table.has_members(), "rank 1 is none");
        assert_eq!(table.advance(1, false, true), Next::Opens);
    }

    #[test]
    fn a_group_ends_even_if_ranges_come_and_go() {
        let mut table = opened(2, std::slice::from_ref(&(0..1)));
        assert_eq!(table.advance(0, true, false), Next::Holds);
        let mut joined = 0;
        loop {
            let rank = (joined as usize + 1) % 2;
            let range = rank as u64..rank as u64 + 1;
            table.join(rank, range);
            if table.advance(rank, true, false) != Next::Holds {
                break;
            }
            joined += 1;
            table.leave(1 - rank);
        }
        assert_eq!(joined, MOST);
    }

    #[test]
    fn a_death_breaks_the_group_once_the_others_have_left() {
        let mut table = opened(4, &[0..1, 1..2, 1..3]);
        assert_eq!(table.advance(0, true, false), Next::Holds);
        assert_eq!(table.advance(1, true, false), Next::Holds);
        table.reclaim(1, 11);
        assert_eq!(table.advance(2, true, false), Next::Broken(11));
        assert!(table.has_members(), "rank 0 still writes");
        table.leave(0);
        assert!(!table.has_members());
        table.join(3, 0..9);
        assert_eq!(table.advance(2, false, false), Next::Opens);
        table.open();
        assert_eq!(table.advance(2, true, false), Next::Holds);
    }

    #[test]
    fn each_rank_watches_the_one_before_it_and_those_that_hold_ranges() {
        let mut table = opened(5, &[0..2, 1..3, 2..4, 0..4, 5..6]);
        assert_eq!(
            table.watched(4, true),
            [0, 1, 2, 3],
            "nobody holds a range yet"
        );
        assert_eq!(table.advance(0, true, false), Next::Holds);
        assert_eq!(table.watched(1, true), [0]);
        assert_eq!(table.watched(3, true), [0, 2]);
        assert_eq!(table.watched(4, true), [0]);
        table.leave(0);
        assert_eq!(
            table.watched(0, true),
            [1, 2, 3, 4],
            "it waits for the lock"
        );
        assert_eq!(table.watched(4, false), [3]);
        assert!(table.watched(1, false).is_empty());
    }

    #[test]
    fn a_rank_that_dies_while_it_waits_breaks_nothing() {
        let mut table = opened(2, &[0..2, 1..3]);
        table.reclaim(0, 0);
        assert_eq!(table.advance(1, true, false), Next::Holds);
        assert_eq!(table.group.broken_by, None);
    }
}
