//! The words of a table: what has become of the tasks of a batch.

use crate::shm::atomic::{AtomicU64, Ordering};

/// The words that all share. All zero is the first state: no task was offered again.
#[repr(C, align(128))]
pub(crate) struct TableWords {
    /// For tasks that run elsewhere, that have failed and that are done: up to which one they were
    /// offered again. Counted up by who is about to look at the task.
    pub(crate) laps: [AtomicU64; 3],
}

/// What has become of a task.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) enum TaskStatus {
    /// Nobody has it yet.
    Open = 0,
    /// It runs outside this batch, or did when its job ended.
    Elsewhere = 1,
    Done = 2,
    Failed = 3,
    /// It cannot be run: nobody knows what became of it.
    Invalid = 4,
    /// A rank of this batch has it.
    Taken = 5,
}

impl TaskStatus {
    pub(crate) const ALL: [TaskStatus; 6] = [
        TaskStatus::Open,
        TaskStatus::Elsewhere,
        TaskStatus::Done,
        TaskStatus::Failed,
        TaskStatus::Invalid,
        TaskStatus::Taken,
    ];
}

/// A task's byte: its [`TaskStatus`] (bits 0 to 2), and how often it was taken (bits 3 to 7), so
/// that who has looked at it a while ago does not mistake one taking for another; after 31 times it
/// begins at 1 again. Zero is a task that is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TaskByte(pub(crate) u8);

impl TaskByte {
    const ENTRY: u8 = 0b111;
    const ONE_TAKING: u8 = 0b1000;
    const MOST_TAKINGS: u8 = 31 * Self::ONE_TAKING;

    #[inline]
    pub(crate) fn status(self) -> TaskStatus {
        // No rank stores another number.
        let number = usize::from(self.0 & Self::ENTRY);
        TaskStatus::ALL
            .get(number)
            .copied()
            .unwrap_or(TaskStatus::Invalid)
    }

    /// The byte when the status becomes this one.
    #[inline]
    pub(crate) fn with(self, status: TaskStatus) -> Self {
        TaskByte(self.0 & !Self::ENTRY | status as u8)
    }

    /// The byte when the task is taken.
    #[inline]
    pub(crate) fn taken(self) -> Self {
        let before = if self.0 >= Self::MOST_TAKINGS {
            0
        } else {
            self.0
        };
        TaskByte(before.wrapping_add(Self::ONE_TAKING)).with(TaskStatus::Taken)
    }

    /// Whether it was never taken.
    #[inline]
    pub(crate) fn is_untouched(self) -> bool {
        self.0 < Self::ONE_TAKING
    }
}

/// A word of the index under which nothing is open.
pub(crate) const CLOSED: u64 = u64::MAX;

/// How many words each level of the index has, from the tasks' own bits upwards.
pub(crate) fn level_lengths(tasks: usize) -> impl Iterator<Item = usize> {
    let first = tasks.div_ceil(64).max(1);
    std::iter::successors(Some(first), |&length| {
        (length > 1).then(|| length.div_ceil(64))
    })
}

/// Closes what is behind the end of a level with so many things below it, before anybody uses it.
pub(crate) fn close_rest(level: &[AtomicU64], below: usize) {
    let last = &level[level.len() - 1];
    let used = below - (level.len() - 1) * 64;
    if used < 64 {
        last.store(CLOSED << used, Ordering::SeqCst);
    }
}
