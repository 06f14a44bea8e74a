//! The table of a batch: the status of each task, and which rank has it.
//!
//! Each task has a byte, which changes by one compare-and-swap. An index leads to the first open
//! task. Before a rank takes a task, it writes the task's number into a word of its own, and it
//! clears that word once the byte has the new status. So a task that is taken and that no living
//! rank names belongs to a dead rank, at whichever instruction that rank was killed, and can be
//! opened again.
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
use serde::{Deserialize, Serialize};

/// The table, as one rank or the server sees it.
pub(crate) struct TaskTable<M> {
    pub(crate) memory: M,
}

/// The number of tasks of each status, by the number of the [`TaskStatus`].
pub(crate) type Counts = [u64; TaskStatus::ALL.len()];

/// A task that was taken, and its status before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) task: usize,
    pub(crate) was: TaskStatus,
}

impl<M: TableMemory> TaskTable<M> {
    /// Takes the first open task for `rank`, which has none. If no task is open, takes one of those
    /// that `again` requests; each of these is offered once.
    #[inline]
    pub(crate) fn take(&self, rank: usize, again: Again) -> Option<Taken> {
        while let Some(task) = self.index().first().or_else(|| self.scan()) {
            if self.try_take(rank, task, TaskStatus::Open) {
                return Some(Taken {
                    task,
                    was: TaskStatus::Open,
                });
            }
        }
        let taken = self.take_again(rank, again);
        if taken.is_none() {
            self.memory.holder(rank).store(0, Ordering::SeqCst);
        }
        taken
    }

    #[cold]
    fn take_again(&self, rank: usize, again: Again) -> Option<Taken> {
        let kinds = [
            (again.running, TaskStatus::Elsewhere),
            (again.failed, TaskStatus::Failed),
            (again.done, TaskStatus::Done),
        ];
        let end = self.memory.tasks() as u64;
        let words = self.memory.words();
        for ((is_offered, was), next) in kinds.into_iter().zip(&words.offered_again) {
            while is_offered && next.load(Ordering::SeqCst) < end {
                let task = next.fetch_add(1, Ordering::SeqCst);
                if task < end && self.try_take(rank, task as usize, was) {
                    let task = task as usize;
                    return Some(Taken { task, was });
                }
            }
        }
        None
    }

    #[inline]
    fn try_take(&self, rank: usize, task: usize, was: TaskStatus) -> bool {
        let byte = self.byte(task);
        let before = TaskByte(byte.load(Ordering::SeqCst));
        let mut taken = false;
        // A task that was done in this batch is not done again. One that failed in it may be tried
        // once more.
        let is_offered = was != TaskStatus::Done || before.is_untouched();
        if before.status() == was && is_offered {
            // Before the exchange: from then on it must be known which rank has it.
            let name = task as u64 + 1;
            self.memory.holder(rank).store(name, Ordering::SeqCst);
            taken = (byte.compare_exchange(
                before.0,
                before.taken().0,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ))
            .is_ok();
        }
        if was == TaskStatus::Open {
            self.close(task);
        }
        taken
    }

    /// Records in the index that a task is not open, unless it has been opened again.
    #[inline]
    fn close(&self, task: usize) {
        self.index().close(task);
        if self.status(task) == TaskStatus::Open {
            self.index().open(task);
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

    /// Sets the status of the task that `rank` has taken. False if the task was no longer taken.
    #[inline]
    pub(crate) fn finish(&self, rank: usize, task: usize, status: TaskStatus) -> bool {
        let had = self.replace(task, status, |before| before == TaskStatus::Taken);
        self.memory.holder(rank).store(0, Ordering::SeqCst);
        had
    }

    /// Sets the status of a task that no rank has taken. False if a rank has taken it.
    pub(crate) fn set(&self, task: usize, status: TaskStatus) -> bool {
        self.replace(task, status, |before| before != TaskStatus::Taken)
    }

    #[inline]
    fn replace(&self, task: usize, status: TaskStatus, may: impl Fn(TaskStatus) -> bool) -> bool {
        let replaced = self
            .byte(task)
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |before| {
                let before = TaskByte(before);
                may(before.status()).then(|| before.with(status).0)
            });
        match replaced.map(|before| TaskByte(before).status()) {
            Ok(_) if status == TaskStatus::Open => self.index().open(task),
            Ok(TaskStatus::Open) => self.close(task),
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

    /// Opens the tasks that dead ranks had taken. Returns their number.
    pub(crate) fn reclaim(&self) -> usize {
        let is_alive = |rank: &usize| self.memory.is_alive(*rank);
        let named = |rank: usize| self.memory.holder(rank).load(Ordering::SeqCst);
        let mut opened = 0;
        for dead in 0..self.memory.ranks() {
            let Some(task) = named(dead).checked_sub(1) else {
                continue;
            };
            if is_alive(&dead) {
                continue;
            }
            let task = task as usize;
            // In this order: the rank that has it named it before the byte was taken, and names it
            // until that changes.
            let before = TaskByte(self.byte(task).load(Ordering::SeqCst));
            let name = task as u64 + 1;
            let is_anothers = (0..self.memory.ranks())
                .any(|rank| rank != dead && named(rank) == name && is_alive(&rank));
            if is_anothers {
                // Or that rank is about to find that it came too late. Then the next call opens the
                // task.
                continue;
            }
            let open = before.with(TaskStatus::Open).0;
            let exchange = |byte: &AtomicU8| {
                byte.compare_exchange(before.0, open, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok()
            };
            if before.status() == TaskStatus::Taken && exchange(self.byte(task)) {
                self.index().open(task);
                opened += 1;
            }
            self.memory.holder(dead).store(0, Ordering::SeqCst);
        }
        opened
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

    /// Records that a task is not open.
    #[inline]
    fn close(&self, task: usize) {
        self.close_at(0, task);
    }

    /// Records that a task is open.
    fn open(&self, task: usize) {
        self.open_at(0, task);
    }

    #[inline]
    fn close_at(&self, level: usize, at: usize) {
        let mut at = at;
        for level in level..self.0.levels() {
            let bit = 1 << (at % 64);
            let before = self.0.level(level)[at / 64].fetch_or(bit, Ordering::SeqCst);
            if level > 0 && self.0.level(level - 1)[at].load(Ordering::SeqCst) != CLOSED {
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
