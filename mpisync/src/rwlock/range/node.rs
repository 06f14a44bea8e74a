//! The table of ranges on one node, in shared memory, and the turn that a group of ranks has.

use crate::rwlock::layout::{GateKind, IDLE, READING, Turn};
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::rwlock::range::layout::RangeWords;
use crate::rwlock::range::table::{Next, State, Table};
use crate::shm::atomic::{MODELLED, full_fence, yield_now};
use crate::shm::event::{ALL, Event};
use crate::shm::wait::{Deadline, Stop, wait};
use core::sync::atomic::Ordering;
use std::ops::Range;

/// How often a rank that finds the table locked looks again before it gives its core away, and how
/// often it does so before it looks whether the other rank is alive.
const LOOKS: (u32, u32) = if MODELLED { (1, u32::MAX) } else { (50, 1000) };

/// As any rank of a lock that only ranks of this node use.
impl<M: Memory> NodeLock<M> {
    fn range_words(&self) -> &RangeWords {
        &self.memory.words().drain.0.ranges
    }

    /// Changes the table under its lock. Acquires what ranks did before they changed it last.
    ///
    /// A rank may die in here. Then another rank takes the lock of the table over: each change of a
    /// slot is complete or not made, and whether the group has members is looked up anew each time.
    fn with_table<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        let (value, may_go_on) = self.change_table(change);
        if may_go_on {
            self.wake_waiting();
        }
        value
    }

    /// [`with_table`](Self::with_table) that wakes nobody. Returns, too, whether other ranks that wait
    /// may be able to do something now.
    fn change_table<R>(&self, change: impl FnOnce(&mut Table) -> R) -> (R, bool) {
        let words = self.range_words();
        self.lock_table(words);
        let slots = (0..self.memory.ranks()).map(|rank| self.memory.rank_words(rank).range.get());
        let mut table = Table {
            slots: slots.collect(),
            group: words.group(),
        };
        let before = table.clone();
        let value = change(&mut table);
        let mut may_go_on = {
            let (now, before) = (&table.group, &before.group);
            (now.opened, now.limit, now.broken_by)
                != (before.opened, before.limit, before.broken_by)
        };
        // The group first: a death is noted before the slot of the dead rank is free.
        if table.group != before.group {
            words.set_group(&table.group);
        }
        let slots = table.slots.iter().zip(&before.slots).enumerate();
        for (rank, (slot, before)) in slots {
            if slot != before {
                self.memory.rank_words(rank).range.set(slot);
                may_go_on |= slot.state == State::Free;
            }
        }
        words.lock.store(0, Ordering::Release);
        (value, may_go_on)
    }

    fn wake_waiting(&self) {
        full_fence();
        self.range_changed().notify(ALL);
    }

    fn lock_table(&self, words: &RangeWords) {
        let me = self.memory.me() as u32 + 1;
        let (pauses, yields) = LOOKS;
        let take = |from: u32| {
            let taken =
                (words.lock).compare_exchange(from, me, Ordering::Acquire, Ordering::Relaxed);
            taken.err()
        };
        let mut looks = 0;
        while let Some(owner) = take(0) {
            looks += 1;
            if looks % pauses != 0 {
                std::hint::spin_loop();
                continue;
            }
            yield_now();
            let is_time = looks % (pauses * yields) == 0;
            if is_time && owner > 0 && !self.memory.is_alive(owner as usize - 1) {
                // Fails if another rank was faster.
                if take(owner).is_none() {
                    return;
                }
            }
        }
    }

    /// Whether a group has the lock.
    fn is_open(&self) -> bool {
        self.turn().owner() == Some(Turn::RANGES)
    }

    /// Begins to wait for a range.
    pub(in crate::rwlock) fn join_range(&self, range: Range<u64>) {
        let me = self.memory.me();
        self.with_table(|table| {
            table.join(me, range);
            table.admit(me, self.is_open(), self.others_wait());
        });
    }

    /// As a rank that waits: takes the range, if that can be done now, or finds out what to do.
    pub(in crate::rwlock) fn advance_range(&self) -> Next {
        let (next, may_go_on) = self.look_at_range();
        if may_go_on {
            self.wake_waiting();
        }
        next
    }

    /// [`advance_range`](Self::advance_range) that wakes nobody, as [`change_table`](Self::change_table).
    fn look_at_range(&self) -> (Next, bool) {
        let me = self.memory.me();
        self.change_table(|table| table.advance(me, self.is_open(), self.others_wait()))
    }

    /// As a rank that waits for a range and has the write lock: opens a group, which has the lock
    /// from now on.
    pub(in crate::rwlock) fn open_ranges(&self) {
        self.with_table(|table| {
            table.open();
            self.give_turn(Turn::RANGES);
        });
    }

    /// Gives the range back, or ceases to wait for it.
    pub(in crate::rwlock) fn leave_range(&self) {
        let me = self.memory.me();
        self.with_table(|table| {
            table.leave(me);
            self.end_group(table);
        });
    }

    /// As a rank that waits: waits until it can do something.
    pub(in crate::rwlock) fn await_range(&self, deadline: Deadline<'_>) -> Result<Next, Stop> {
        let (next, may_go_on) = wait(
            &self.memory,
            self.range_changed(),
            deadline,
            // Nothing has changed for others if this rank still waits.
            || Some(self.look_at_range()).filter(|(next, _)| *next != Next::Waits),
            || self.inspect_ranges(),
        )?;
        if may_go_on {
            self.wake_waiting();
        }
        Ok(next)
    }

    /// Releases the write lock if the group has no members. A group with a dead member keeps it: the
    /// lock is poisoned.
    fn end_group(&self, table: &Table) -> bool {
        let is_over = self.is_open() && !table.has_members();
        if is_over && table.group.broken_by.is_none() {
            self.unlock_write();
        }
        is_over
    }

    /// Recovers from dead ranks; see [`inspect_ranges`](Self::inspect_ranges).
    fn inspect_table(&self) -> Result<(), Stop> {
        // A rank that died while it waited for the lock keeps nobody from joining.
        self.forget_dead_writers();
        let me = self.memory.me();
        let watched = self.with_table(|table| table.watched(me, self.is_open()));
        // Without the lock of the table: it takes a while.
        let dead = watched.into_iter();
        let dead: Vec<usize> = dead.filter(|&rank| !self.memory.is_alive(rank)).collect();
        self.with_table(|table| {
            for rank in dead {
                table.reclaim(rank, rank as u32);
            }
            self.settle(table)
        })
    }

    /// Ends the group if it has no members.
    fn settle(&self, table: &Table) -> Result<(), Stop> {
        if !self.is_open() {
            return Ok(());
        }
        match table.group.broken_by {
            Some(dead) if self.end_group(table) => Err(Stop::Died(dead as usize)),
            _ => {
                self.end_group(table);
                let ended = table.holders().find(|&rank| self.memory.has_ended(rank));
                // It still has its guard, and may drop it yet.
                ended.map_or(Ok(()), |rank| Err(Stop::Ended(rank)))
            }
        }
    }

    /// The ranks for which this one waits, which waits for a range.
    pub(super) fn awaited_for_range(&self) -> Vec<usize> {
        let me = self.memory.me();
        self.with_table(|table| table.awaited(me, self.is_open()))
    }
}

/// As any rank that waits for the lock, and as the server.
impl<M: Memory> NodeLock<M> {
    /// Recovers from dead ranks that held ranges.
    ///
    /// # Errors
    /// [`Stop::Died`], or over several nodes [`Stop::RankDied`], if a rank died with a range and no
    /// other rank of the group is left; [`Stop::Ended`] if a rank has ended with one.
    pub(in crate::rwlock) fn inspect_ranges(&self) -> Result<(), Stop> {
        match self.memory.gate().kind {
            GateKind::Local => self.inspect_table(),
            GateKind::Global if self.is_open() => {
                let ranks = 0..self.memory.ranks();
                let mut ended = ranks.filter(|&rank| {
                    self.memory.rank_words(rank).range.holds() && self.memory.has_ended(rank)
                });
                match (self.dead_member(), ended.next()) {
                    (Some(rank), _) => Err(Stop::RankDied(rank)),
                    (None, Some(rank)) => Err(Stop::Ended(rank)),
                    (None, None) => Ok(()),
                }
            }
            GateKind::Global => Ok(()),
        }
    }

    /// Takes the turn over from a group that a dead rank has broken. Returns [`Turn::RANGES`]; none
    /// if there is no such group, or another rank has taken over.
    pub(in crate::rwlock) fn take_over_ranges(&self) -> Option<usize> {
        self.inspect_ranges().err()?;
        let take = || {
            loop {
                let turn = self.turn();
                if turn.owner() != Some(Turn::RANGES) {
                    return None;
                }
                // Fails if a rank begins to wait, or ceases to.
                if self.replace_turn(turn, turn.held_by(self.memory.me())) {
                    return Some(Turn::RANGES);
                }
            }
        };
        match self.memory.gate().kind {
            // The next group may have the same owner, so no other rank may take over meanwhile.
            GateKind::Local => self.with_table(|table| match self.settle(table) {
                Err(Stop::Died(_)) => take(),
                _ => None,
            }),
            // Only the server takes over.
            GateKind::Global => self.dead_member().and_then(|_| take()),
        }
    }

    /// Whether somebody on this node waits for the lock itself.
    pub(super) fn others_wait(&self) -> bool {
        let reads = |rank| {
            let slot = &self.memory.rank_words(rank).slot;
            !matches!(slot.load(Ordering::Relaxed), IDLE | READING)
        };
        self.waiting_writers() > 0 || (0..self.memory.ranks()).any(reads)
    }

    /// The event of a range that was granted or given back.
    fn range_changed(&self) -> Event<'_> {
        self.range_words().changed.event()
    }
}

/// As a rank, or as the server, if the lock spans nodes.
impl<M: Memory> NodeLock<M> {
    /// As a rank with the write lock and this number: gives it to a group, which other ranks join.
    pub(super) fn share_turn(&self, rank: u32) {
        let words = self.range_words();
        words.dead.store(0, Ordering::Relaxed);
        words.opener.store(rank + 1, Ordering::Relaxed);
        // Releases the words.
        self.give_turn(Turn::RANGES);
    }

    /// Whether this node has the write lock for the group that this rank has opened.
    pub(super) fn has_group_of(&self, opener: u32) -> bool {
        self.is_open() && self.range_words().opener.load(Ordering::Relaxed) == opener + 1
    }

    /// As the server: a rank has died with a range of the group, and no other rank holds one.
    pub(super) fn break_group(&self, dead: u32) {
        self.range_words().dead.store(dead + 1, Ordering::Relaxed);
    }

    /// The rank that has broken the group for which this node has the write lock.
    pub(in crate::rwlock) fn dead_member(&self) -> Option<u32> {
        let is_open = self.is_open();
        let dead = self
            .range_words()
            .dead
            .load(Ordering::Relaxed)
            .checked_sub(1);
        dead.filter(|_| is_open)
    }
}
