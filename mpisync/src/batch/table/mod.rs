//! The table of a batch: the status of each task, and which rank has it.
//!
//! Each task has a byte, which changes by one compare-and-swap. An index leads to the first open
//! task. Before a rank takes a task, it writes the task's number into a word of its own, and it
//! clears that word once the byte has the new status. So a task that is taken and that no living
//! rank names belongs to a dead rank, at whichever instruction that rank was killed, and can be
//! opened again. A rank that has a task for longer than a limit loses it in the same way. It finds
//! that out by the byte, which counts the takings. A rank has a limited number of such words, so it
//! has at most [that many](layout::MOST_AT_ONCE) tasks at a time.
//!
//! The table lies on one node. Ranks of other nodes [ask](access) the server of that node.
//!
//! # The index
//! Each task has a bit that says that it is not open, each 64 of these bits have a bit that says
//! that all of them are set, and so on up to one word; ten million tasks take four levels. The bits
//! are hints and may be out of date: the task's byte decides. A rank that closes or opens something
//! below checks it again after it has changed the bit above, so of two ranks that do so at the same
//! time the later one corrects the bit.

pub(crate) mod access;
pub(crate) mod layout;
#[cfg(test)]
mod tests;

use crate::batch::directory::Again;
use crate::batch::table::layout::{CLOSED, TableMemory, TaskByte, TaskStatus};
use crate::shm::atomic::{AtomicU8, Ordering};
use crate::shm::clock;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::Duration;

/// The table, as one rank or the server sees it.
pub(crate) struct TaskTable<M> {
    pub(crate) memory: M,
    pub(crate) limits: TableLimits,
}

/// How often and for how long a task is taken.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct TableLimits {
    /// The most takings of a task; none if they are not limited, or not counted by the table.
    pub(crate) tries: Option<u32>,
    /// How long a rank may have a task before others do not wait for it.
    pub(crate) time: Option<Duration>,
    /// Whether the batch has a state directory, whose claims say which job has a task.
    pub(crate) has_directory: bool,
}

impl TableLimits {
    /// The status of a task that was taken in vain.
    fn after(&self, taken: TaskByte) -> TaskStatus {
        match self.tries {
            Some(most) if taken.takings() >= most => TaskStatus::Failed,
            _ => TaskStatus::Open,
        }
    }
}

/// The number of tasks of each status, by the number of the [`TaskStatus`].
pub(crate) type Counts = [u64; TaskStatus::ALL.len()];

/// A task that was taken, and its status before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) task: usize,
    pub(crate) was: TaskStatus,
    /// The task's byte since then, by which this taking is known.
    pub(crate) byte: TaskByte,
    /// Which of its words the rank names it in.
    place: usize,
}

impl<M: TableMemory> TaskTable<M> {
    /// Takes as many tasks for `rank` as there are `places`, in which it names no task: the first open
    /// ones. If fewer are open, takes the rest from those that `again` requests; each of these is
    /// offered once. Takes none once the batch has stopped. Those that are taken are added to
    /// `found`. A rank that has no tasks begins with the place 0.
    #[inline]
    pub(crate) fn take(
        &self,
        rank: usize,
        again: Again,
        mut places: Range<usize>,
        found: &mut Vec<Taken>,
    ) {
        if self.stopped() != 0 {
            return;
        }
        let holder = self.memory.holder(rank);
        if places.start == 0 {
            holder.reset();
        }
        if self.limits.time.is_some() {
            holder.since.store(now(), Ordering::SeqCst);
        }
        while places.start < places.end
            && let Some(task) = self.index().first().or_else(|| self.scan())
        {
            self.take_open(rank, task, &mut places, found);
        }
        if places.start < places.end {
            self.take_again(rank, again, &mut places, found);
        }
        if let Some(unused) = places.next() {
            holder.clear(unused);
        }
    }

    /// Takes the open tasks from `first` on that have bits in the same word of the index, as long as
    /// there are places.
    #[inline]
    fn take_open(
        &self,
        rank: usize,
        first: usize,
        places: &mut Range<usize>,
        found: &mut Vec<Taken>,
    ) {
        let word = first / 64;
        // The index need not know that the first one is open.
        let mut open = !self.memory.level(0)[word].load(Ordering::SeqCst) | 1 << (first % 64);
        let mut tried = 0;
        while open != 0 && places.start < places.end {
            let task = word * 64 + open.trailing_zeros() as usize;
            let rest = open & (open - 1);
            tried |= open ^ rest;
            open = rest;
            if let Some(taken) = self.try_take(rank, task, TaskStatus::Open, places.start) {
                found.push(taken);
                places.start += 1;
            }
        }
        self.close(word, tried);
    }

    /// Lets no more tasks be taken, for a reason that is not 0. The first one stays.
    pub(crate) fn stop(&self, reason: u64) {
        let stopped = &self.memory.words().stopped;
        let _earlier = stopped.compare_exchange(0, reason, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Why no more tasks are taken, or 0.
    #[inline]
    pub(crate) fn stopped(&self) -> u64 {
        self.memory.words().stopped.load(Ordering::Acquire)
    }

    #[cold]
    fn take_again(
        &self,
        rank: usize,
        again: Again,
        places: &mut Range<usize>,
        found: &mut Vec<Taken>,
    ) {
        let kinds = [
            (again.running, TaskStatus::Elsewhere),
            (again.failed, TaskStatus::Failed),
            (again.done, TaskStatus::Done),
        ];
        let end = self.memory.tasks() as u64;
        let words = self.memory.words();
        for ((is_offered, was), next) in kinds.into_iter().zip(&words.offered_again) {
            while is_offered && places.start < places.end && next.load(Ordering::SeqCst) < end {
                let task = next.fetch_add(1, Ordering::SeqCst);
                if task >= end {
                    break;
                }
                if let Some(taken) = self.try_take(rank, task as usize, was, places.start) {
                    found.push(taken);
                    places.start += 1;
                }
            }
        }
    }

    /// Takes a task if it has this status and is offered, and names it at this place.
    #[inline]
    fn try_take(&self, rank: usize, task: usize, was: TaskStatus, place: usize) -> Option<Taken> {
        let before = TaskByte(self.byte(task).load(Ordering::SeqCst));
        // A task that was done in this batch is not done again. One that failed in it may be tried
        // once more, unless that is one try too many.
        let is_offered = match was {
            TaskStatus::Done => before.is_untouched(),
            TaskStatus::Failed => self.limits.after(before) == TaskStatus::Open,
            _ => true,
        };
        if before.status() != was || !is_offered {
            return None;
        }
        // Before the exchange: from then on it must be known which rank has it.
        self.memory.holder(rank).name(place, task);
        let byte = before.taken();
        self.exchange(task, before, byte).then_some(Taken {
            task,
            was,
            byte,
            place,
        })
    }

    /// Records in the index that the tasks of these bits of a word are not open, unless they have
    /// been opened again.
    #[inline]
    fn close(&self, word: usize, bits: u64) {
        self.index().close(word, bits);
        let mut rest = bits;
        while rest != 0 {
            let task = word * 64 + rest.trailing_zeros() as usize;
            if self.status(task) == TaskStatus::Open {
                self.index().open(task);
            }
            rest &= rest - 1;
        }
    }

    /// The first open task, without the index. It finds a task whose rank was killed after it had
    /// opened the task and before it changed the index. It looks at all tasks, so it is called only
    /// when the index has none.
    #[cold]
    fn scan(&self) -> Option<usize> {
        self.find(TaskStatus::Open, 0)
    }

    /// The first task from `from` on with this status.
    pub(crate) fn find(&self, status: TaskStatus, from: usize) -> Option<usize> {
        (from..self.memory.tasks()).find(|&task| self.status(task) == status)
    }

    /// Sets the status of a task that `rank` has taken. False if it has not the task any more.
    #[inline]
    pub(crate) fn finish(&self, rank: usize, taken: Taken, status: TaskStatus) -> bool {
        let had = self.give_back(taken.task, taken.byte, status);
        self.memory.holder(rank).clear(taken.place);
        had
    }

    /// Ends a taking. False if it has ended already.
    #[inline]
    fn give_back(&self, task: usize, taken: TaskByte, status: TaskStatus) -> bool {
        let had = self.exchange(task, taken, taken.with(status));
        if had && status == TaskStatus::Open {
            self.index().open(task);
        }
        had
    }

    #[inline]
    fn exchange(&self, task: usize, before: TaskByte, after: TaskByte) -> bool {
        let byte = self.byte(task);
        byte.compare_exchange(before.0, after.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Sets the status of a task that no rank has taken. False if a rank has taken it.
    pub(crate) fn set(&self, task: usize, status: TaskStatus) -> bool {
        let replaced = self
            .byte(task)
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |before| {
                let before = TaskByte(before);
                let may = before.status() != TaskStatus::Taken;
                may.then(|| before.with(status).0)
            });
        match replaced.map(|before| TaskByte(before).status()) {
            Ok(_) if status == TaskStatus::Open => self.index().open(task),
            Ok(TaskStatus::Open) => self.close(task / 64, 1 << (task % 64)),
            Ok(_) => {}
            Err(_) => return false,
        }
        true
    }

    /// The status of a task.
    #[inline]
    pub(crate) fn status(&self, task: usize) -> TaskStatus {
        TaskByte(self.byte(task).load(Ordering::SeqCst)).status()
    }

    /// The number of tasks of each status. Looks at all tasks.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for byte in self.memory.bytes() {
            counts[TaskByte(byte.load(Ordering::Relaxed)).status() as usize] += 1;
        }
        counts
    }

    /// Ends the takings of ranks that have died or are late. Returns the number of tasks that are
    /// open again.
    pub(crate) fn reclaim(&self) -> usize {
        let ranks = 0..self.memory.ranks();
        let opened: usize = ranks.map(|rank| self.reclaim_from_dead(rank)).sum();
        opened + self.reclaim_from_late()
    }

    /// The other ranks that have a task of this name, or are about to take it.
    fn others(&self, rank: usize, name: u32) -> impl Iterator<Item = usize> {
        (0..self.memory.ranks()).filter(move |&other| {
            let mut named = self.memory.holder(other).named();
            other != rank && named.any(|(_, of_other)| of_other == name)
        })
    }

    /// Returns the number of tasks of this rank that are open now because the rank has died.
    fn reclaim_from_dead(&self, dead: usize) -> usize {
        let holder = self.memory.holder(dead);
        if holder.named().next().is_none() || self.memory.is_alive(dead) {
            return 0;
        }
        let mut opened = 0;
        for (place, name) in holder.named() {
            let task = task_of(name);
            // In this order: the rank that has it named it before the byte was taken, and names it
            // until that changes.
            let before = TaskByte(self.byte(task).load(Ordering::SeqCst));
            let mut others = self.others(dead, name);
            if others.any(|rank| self.memory.is_alive(rank)) {
                // Or that rank is about to find that it came too late. Then the next call opens the
                // task.
                continue;
            }
            let status = self.limits.after(before);
            let is_ended =
                before.status() == TaskStatus::Taken && self.give_back(task, before, status);
            holder.clear(place);
            opened += usize::from(is_ended && status == TaskStatus::Open);
        }
        opened
    }

    /// Ends the takings that last longer than the time limit. Returns the number of tasks that are
    /// open again.
    fn reclaim_from_late(&self) -> usize {
        let Some(limit) = self.limits.time else {
            return 0;
        };
        let latest = now().saturating_sub(limit.as_nanos() as u64);
        let is_late = |rank| self.memory.holder(rank).since.load(Ordering::SeqCst) <= latest;
        let mut opened = 0;
        for rank in 0..self.memory.ranks() {
            let holder = self.memory.holder(rank);
            for (place, name) in holder.named() {
                let task = task_of(name);
                // In this order, as above. A rank that takes tasks notes the time before it names
                // them.
                let before = TaskByte(self.byte(task).load(Ordering::SeqCst));
                let word = &holder.names[place];
                if before.status() != TaskStatus::Taken
                    || word.load(Ordering::SeqCst) != name
                    || !is_late(rank)
                    || self.others(rank, name).any(|other| !is_late(other))
                {
                    continue;
                }
                let status = match self.limits.has_directory {
                    true => TaskStatus::Elsewhere,
                    false => self.limits.after(before),
                };
                if self.give_back(task, before, status) {
                    opened += usize::from(status == TaskStatus::Open);
                    // Unless it has taken another one.
                    let _another =
                        word.compare_exchange(name, 0, Ordering::SeqCst, Ordering::SeqCst);
                }
            }
        }
        opened
    }

    /// The tasks that ranks have, at most `most` of them, each with the rank.
    pub(crate) fn held(&self, most: usize) -> Vec<(u32, usize)> {
        let of_rank = |rank| {
            let tasks = self.memory.holder(rank).named();
            let tasks = tasks.map(|(_, name)| task_of(name));
            tasks
                .filter(move |&task| self.status(task) == TaskStatus::Taken)
                .map(move |task| (rank as u32, task))
        };
        let ranks = 0..self.memory.ranks();
        ranks.flat_map(of_rank).take(most).collect()
    }

    #[inline]
    fn index(&self) -> Index<'_, M> {
        Index(&self.memory)
    }

    #[inline]
    fn byte(&self, task: usize) -> &AtomicU8 {
        &self.memory.bytes()[task]
    }
}

/// The task of a name in a [`Holder`](layout::Holder).
fn task_of(name: u32) -> usize {
    name as usize - 1
}

fn now() -> u64 {
    clock::since_start().as_nanos() as u64
}

/// The index of a table; see the [module](self).
struct Index<'a, M>(&'a M);

impl<M: TableMemory> Index<'_, M> {
    /// The first open task according to the bits.
    #[inline]
    fn first(&self) -> Option<usize> {
        let top = self.0.levels() - 1;
        'search: loop {
            let mut at = 0;
            for level in (0..=top).rev() {
                let word = self.0.level(level)[at].load(Ordering::SeqCst);
                let free = word.trailing_ones() as usize;
                if free == 64 {
                    if level == top {
                        return None;
                    }
                    // The rank that closed the last one below has not set this bit yet, or was
                    // killed.
                    self.close_at(level + 1, at);
                    continue 'search;
                }
                at = at * 64 + free;
            }
            return Some(at);
        }
    }

    /// Records that the tasks of these bits of a word are not open.
    #[inline]
    fn close(&self, word: usize, bits: u64) {
        let before = self.0.level(0)[word].fetch_or(bits, Ordering::SeqCst);
        if before | bits == CLOSED && self.0.levels() > 1 {
            self.close_at(1, word);
        }
    }

    /// Records that a task is open.
    fn open(&self, task: usize) {
        self.open_at(0, task);
    }

    /// Records that nothing is open below a bit of a level that is not the lowest.
    fn close_at(&self, level: usize, at: usize) {
        let mut at = at;
        for level in level..self.0.levels() {
            let bit = 1 << (at % 64);
            let before = self.0.level(level)[at / 64].fetch_or(bit, Ordering::SeqCst);
            if self.0.level(level - 1)[at].load(Ordering::SeqCst) != CLOSED {
                // Something was opened below, maybe before this bit was set.
                return self.open_at(level, at);
            }
            if before | bit != CLOSED {
                return;
            }
            at /= 64;
        }
    }

    fn open_at(&self, level: usize, at: usize) {
        let mut at = at;
        for level in level..self.0.levels() {
            let bit = 1 << (at % 64);
            let before = self.0.level(level)[at / 64].fetch_and(!bit, Ordering::SeqCst);
            if before != CLOSED {
                return;
            }
            at /= 64;
        }
    }
}
