//! Who still puts and takes, and when a stream is at its end.

use super::{NoMessage, Queue};
use crate::memory::QueueMemory;
use crate::memory::atomic::Ordering;
use crate::memory::words::queue::{NO_CONSUMER, NO_PRODUCER, Position, WAITING};

impl<M: QueueMemory> Queue<M> {
    /// Promises messages.
    pub(crate) fn claim(&self, messages: u64) {
        let claimed = &self.memory.words().account.0.claimed;
        claimed.fetch_add(messages, Ordering::SeqCst);
    }

    /// This rank puts nothing any more.
    pub(crate) fn close_producer(&self) {
        // SeqCst: who finds this finds all that was put before.
        self.my_party().ends.fetch_or(NO_PRODUCER, Ordering::SeqCst);
        self.ring_news();
    }

    /// This rank takes nothing any more.
    pub(crate) fn close_consumer(&self) {
        self.my_party().ends.fetch_or(NO_CONSUMER, Ordering::SeqCst);
        self.note_desertion();
    }

    /// Sees whether anybody is left who takes, and if not lets those know who put.
    pub(super) fn note_desertion(&self) {
        let all_closed = (0..self.memory.ranks()).all(|rank| {
            let ends = &self.memory.party(rank).ends;
            ends.load(Ordering::SeqCst) & NO_CONSUMER != 0
        });
        if all_closed {
            let account = &self.memory.words().account.0;
            account.deserted.store(1, Ordering::SeqCst);
            self.ring_room();
        }
    }

    /// Says whether this rank waits for a message, and puts nothing until it has one.
    #[inline]
    pub(super) fn set_waiting(&self, waits: bool) {
        let has = self.my_party().ends.load(Ordering::Relaxed) & WAITING != 0;
        if has != waits {
            self.change_waiting(waits);
        }
    }

    #[cold]
    fn change_waiting(&self, waits: bool) {
        let ends = &self.my_party().ends;
        // SeqCst: in the order of the looks that `end` takes.
        if waits {
            ends.fetch_or(WAITING, Ordering::SeqCst);
        } else {
            ends.fetch_and(!WAITING, Ordering::SeqCst);
        }
    }

    /// Why no message will come any more, if so; for a rank that has found none.
    ///
    /// Where nothing was promised, that is so if the queue is empty and every rank has either closed its producer or waits
    /// for a message. The looks at the ranks come between two looks at head and tail. These only grow, so if they have not
    /// moved, nobody put or took anything in between. A rank that had taken something before and still seems to wait has
    /// announced what it took. So at the second look no rank had a message, nor could get one.
    pub(crate) fn end(&self) -> Option<NoMessage> {
        let words = self.memory.words();
        let ends = || {
            let head = words.head.0.load(Ordering::SeqCst);
            (head, words.tail.0.load(Ordering::SeqCst))
        };
        let (head, tail) = ends();
        if head != tail {
            return None;
        }
        let claimed = words.account.0.claimed.load(Ordering::SeqCst);
        if claimed > 0 && self.taken(Position(head)) >= claimed {
            return Some(NoMessage::Over);
        }
        let idle = (0..self.memory.ranks()).all(|rank| self.puts_nothing(rank));
        if !idle || ends() != (head, tail) {
            return None;
        }
        let claimed = words.account.0.claimed.load(Ordering::SeqCst);
        match claimed.saturating_sub(self.taken(Position(head))) {
            0 => Some(NoMessage::Over),
            missing => Some(NoMessage::Missing(missing)),
        }
    }

    /// Whether the rank puts nothing unless it gets a message first.
    fn puts_nothing(&self, rank: usize) -> bool {
        let party = self.memory.party(rank);
        // In this order: a rank that has taken something says that it does not wait any more, and withdraws its
        // announcement after that.
        let takes = !party.taking.is_withdrawn();
        let ends = party.ends.load(Ordering::SeqCst);
        ends & NO_PRODUCER != 0 || ends & WAITING != 0 && !takes
    }

    /// How many messages were taken before the head came to this position.
    fn taken(&self, head: Position) -> u64 {
        let account = &self.memory.words().account.0;
        let start = Position(account.start.load(Ordering::Relaxed));
        let passed = self.memory.shape().distance(start, head);
        passed - account.voids.load(Ordering::SeqCst).min(passed)
    }
}
