//! Which task is the first that is open, without a look at those that are not.
//!
//! A bit a task says that it is not open, a bit for 64 of these that none of them is, and so on up
//! to one word, so that ten million tasks take four levels. The bits are hints and may be behind:
//! what counts is the task's byte. Whoever closes or opens something below looks again after the
//! bit above is changed, so that of two who do so at the same time the later one sets it right.

use crate::batch::table::layout::CLOSED;
use crate::batch::table::memory::TableMemory;
use crate::shm::atomic::Ordering;

/// The index of a table.
pub(crate) struct Index<'a, M>(pub(crate) &'a M);

impl<M: TableMemory> Index<'_, M> {
    /// The first task that is open, as far as the bits say.
    #[inline]
    pub(crate) fn first(&self) -> Option<usize> {
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
                    // Who closed the last one below has not come to this yet, or was killed.
                    self.close_at(level + 1, at);
                    continue 'search;
                }
                at = at * 64 + free;
            }
            return Some(at);
        }
    }

    /// Notes that a task is not open any more.
    #[inline]
    pub(crate) fn close(&self, task: usize) {
        self.close_at(0, task);
    }

    /// Notes that a task is open.
    pub(crate) fn open(&self, task: usize) {
        self.open_at(0, task);
    }

    #[inline]
    fn close_at(&self, level: usize, at: usize) {
        let mut at = at;
        for level in level..self.0.levels() {
            let bit = 1 << (at % 64);
            let before = self.0.level(level)[at / 64].fetch_or(bit, Ordering::SeqCst);
            if level > 0 && self.0.level(level - 1)[at].load(Ordering::SeqCst) != CLOSED {
                // Something was opened below meanwhile, maybe before this bit was set.
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
