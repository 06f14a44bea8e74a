//! A rank that is the only one left to put, or to take, moves the tail or the head without an exchange.

use super::Queue;
use crate::memory::QueueMemory;
use crate::memory::atomic::{AtomicU64, Ordering};
use crate::memory::words::queue::Position;
// Not loom's: what a rank notes for itself.
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// How often a rank moves a word before it looks whether it is the only one that does.
const INTERVAL: u32 = if cfg!(any(loom, test)) { 1 } else { 64 };

/// Whether this rank is the only one that moves a word. Once it is, it stays so, for ends are closed for good.
pub(super) struct Sole {
    /// What the others have closed then.
    closed: u32,
    is_sole: AtomicBool,
    moves: AtomicU32,
}

impl Sole {
    pub(super) fn new(closed: u32) -> Self {
        Sole {
            closed,
            is_sole: AtomicBool::new(false),
            moves: AtomicU32::new(0),
        }
    }

    /// Moves `word` from `first` to `end`; whether it was at `first`.
    ///
    /// Release in both forms: who sees the new position sees what was announced. The store is seen later than an exchange may
    /// be, but before what this rank stores next, so nobody finds that this rank closes an end, or waits, and not what it put.
    #[inline]
    pub(super) fn advance<M: QueueMemory>(
        &self,
        queue: &Queue<M>,
        word: &AtomicU64,
        first: Position,
        end: Position,
    ) -> bool {
        if self.is_sole.load(Relaxed) {
            word.store(end.0, Ordering::Release);
            return true;
        }
        self.look(queue);
        word.compare_exchange(first.0, end.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Sees now and then whether the others have closed their ends.
    ///
    /// Acquire: then all that they moved is seen too. This move still is an exchange, for the caller has looked at the word
    /// before.
    #[inline]
    fn look<M: QueueMemory>(&self, queue: &Queue<M>) {
        let moves = self.moves.load(Relaxed) + 1;
        self.moves.store(moves, Relaxed);
        if moves < INTERVAL {
            return;
        }
        self.moves.store(0, Relaxed);
        let memory = &queue.memory;
        let mut others = (0..memory.ranks()).filter(|rank| *rank != memory.me());
        let is_closed = |rank| memory.party(rank).ends.load(Ordering::Acquire) & self.closed != 0;
        self.is_sole.store(others.all(is_closed), Relaxed);
    }
}
