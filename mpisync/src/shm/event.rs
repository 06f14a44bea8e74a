//! Words to sleep on: process-shared futexes, each with a flag that tells whether a rank sleeps.

use crate::shm::atomic::{AtomicU32, Ordering};
pub(crate) use crate::shm::machine::Sleepers;

/// All sleepers, as the system call counts them.
pub(crate) const ALL: u32 = i32::MAX as u32;

/// A word to sleep on, and the flag that tells whether a rank sleeps.
#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) word: &'a AtomicU32,
    pub(crate) sleepers: &'a Sleepers,
}

impl Event<'_> {
    /// Wakes at most `count` sleepers after the word has changed. Costs one load if no rank sleeps.
    #[inline]
    pub(crate) fn wake(&self, count: u32) {
        self.sleepers.wake(self.word, count, || {});
    }

    /// Wakes at most `count` sleepers that wait for a change elsewhere. The word has no meaning of
    /// its own; it changes only if a rank sleeps. No sleeper is missed if there is a full barrier
    /// between the change and this call.
    #[inline]
    pub(crate) fn notify(&self, count: u32) {
        self.sleepers.wake(self.word, count, || {
            self.word.fetch_add(1, Ordering::SeqCst);
        });
    }
}

/// A word to sleep on, in shared memory.
#[repr(C)]
pub(crate) struct FutexWord {
    pub(crate) word: AtomicU32,
    pub(crate) sleepers: Sleepers,
}

impl FutexWord {
    pub(crate) fn event(&self) -> Event<'_> {
        Event {
            word: &self.word,
            sleepers: &self.sleepers,
        }
    }
}
