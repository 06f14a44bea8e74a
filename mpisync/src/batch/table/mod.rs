//! The table of a batch: what has become of each task, and who has it.
//!
//! A byte a task says what has become of it, and changes by one compare-and-swap; an [`index`]
//! leads to the first task that is open. Before a rank takes a task it writes the task's number
//! into a word of its own, and it takes it out when the byte says that it is through. So a task
//! that is taken and that no living rank names is that of a dead one, at whatever instruction that
//! was killed, and is open again.
//!
//! It lies on one node. Ranks of other nodes [ask](question) that node's server, which acts for
//! them.

#[cfg(any(loom, test))]
pub(crate) mod heap;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod memory;
pub(crate) mod question;
pub(crate) mod remote;
#[cfg(any(loom, test))]
mod tests;

use crate::batch::table::index::Index;
use crate::batch::table::layout::{TaskByte, TaskStatus};
use crate::batch::table::memory::TableMemory;
use crate::shm::atomic::Ordering;
use serde::{Deserialize, Serialize};

/// What has become of the tasks of a batch, as one rank or the server sees it.
pub(crate) struct TaskTable<M> {
    pub(crate) memory: M,
}

/// Which tasks may be taken beside those that are open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Offers {
    pub(crate) elsewhere: bool,
    pub(crate) failed: bool,
    pub(crate) done: bool,
}

/// How many tasks have come to what, by the number of the [`TaskStatus`].
pub(crate) type Counts = [u64; TaskStatus::ALL.len()];

/// A task that was taken, and what it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) task: usize,
    pub(crate) was: TaskStatus,
}

impl<M: TableMemory> TaskTable<M> {
    /// Takes the first task that is open, for `rank`, which has none; otherwise one of those that
    /// are offered again, each of which is offered once.
    #[inline]
    pub(crate) fn take(&self, rank: usize, offers: Offers) -> Option<Taken> {
        while let Some(task) = self.index().first().or_else(|| self.scan()) {
            if self.try_take(rank, task, TaskStatus::Open) {
                return Some(Taken {
                    task,
                    was: TaskStatus::Open,
                });
            }
        }
        let again = self.take_again(rank, offers);
        if again.is_none() {
            self.memory.holder(rank).store(0, Ordering::SeqCst);
        }
        again
    }

    #[cold]
    fn take_again(&self, rank: usize, offers: Offers) -> Option<Taken> {
        let laps = [
            (offers.elsewhere, TaskStatus::Elsewhere),
            (offers.failed, TaskStatus::Failed),
            (offers.done, TaskStatus::Done),
        ];
        let end = self.memory.tasks() as u64;
        for ((is_offered, was), lap) in laps.into_iter().zip(&self.memory.words().laps) {
            while is_offered && lap.load(Ordering::SeqCst) < end {
                let task = lap.fetch_add(1, Ordering::SeqCst);
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
        // What was done here need not be done again, while what has failed here may be tried once more.
        let is_offered = was != TaskStatus::Done || before.is_untouched();
        if before.status() == was && is_offered {
            // First: from the exchange on somebody is to be known who has it.
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

    /// Notes in the index that a task is not open, unless it has become so again.
    #[inline]
    fn close(&self, task: usize) {
        self.index().close(task);
        if self.status(task) == TaskStatus::Open {
            self.index().open(task);
        }
    }

    /// The first task that is open, wherever the index leads: what a rank has opened that was
    /// killed before it came to the index. All tasks are looked at, so this is for who finds
    /// nothing.
    #[cold]
    fn scan(&self) -> Option<usize> {
        self.find(TaskStatus::Open, 0)
    }

    /// The first task from `from` on with this status.
    pub(crate) fn find(&self, status: TaskStatus, from: usize) -> Option<usize> {
        (from..self.memory.tasks()).find(|&task| self.status(task) == status)
    }

    /// Says what has become of the task that `rank` has taken; whether that was still so.
    #[inline]
    pub(crate) fn finish(&self, rank: usize, task: usize, status: TaskStatus) -> bool {
        let had = self.replace(task, status, |before| before == TaskStatus::Taken);
        self.memory.holder(rank).store(0, Ordering::SeqCst);
        had
    }

    /// Says what has become of a task that nobody has taken; whether that was so.
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

    /// What has become of a task.
    #[inline]
    pub(crate) fn status(&self, task: usize) -> TaskStatus {
        TaskByte(self.byte(task).load(Ordering::SeqCst)).status()
    }

    /// How many tasks have come to what. All of them are looked at.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for byte in self.memory.bytes() {
            counts[TaskByte(byte.load(Ordering::Relaxed)).status() as usize] += 1;
        }
        counts
    }

    /// Opens the tasks again that dead ranks have taken; how many.
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
            // In this order: who has it named it before the byte said so, and until it says otherwise.
            let before = TaskByte(self.byte(task).load(Ordering::SeqCst));
            let name = task as u64 + 1;
            let is_anothers = (0..self.memory.ranks())
                .any(|rank| rank != dead && named(rank) == name && is_alive(&rank));
            if is_anothers {
                // Or it is about to find that it was late. Then the next look tells.
                continue;
            }
            let open = before.with(TaskStatus::Open).0;
            let exchange = |byte: &crate::shm::atomic::AtomicU8| {
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
    fn byte(&self, task: usize) -> &crate::shm::atomic::AtomicU8 {
        &self.memory.bytes()[task]
    }
}
