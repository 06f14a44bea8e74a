//! What ranks leave behind that die.

use crate::channel::ring::Queue;
use crate::channel::ring::layout::{Holds, NO_CONSUMER, NO_PRODUCER, Position, RankState, Reserve};
use crate::channel::ring::memory::QueueMemory;
use crate::channel::ring::relay::Lost;
use crate::shm::atomic::Ordering;

/// What a rank does about once a millisecond while it waits.
pub(crate) struct Inspector<'a, M> {
    queue: &'a Queue<M>,
    /// The rank to look at next; one at a time, for a look takes some microseconds.
    next: usize,
}

impl<M: QueueMemory> Queue<M> {
    pub(crate) fn inspector(&self) -> Inspector<'_, M> {
        Inspector {
            queue: self,
            next: self.memory.me(),
        }
    }

    /// Whether a rank that has died reserved this position, and no rank that lives did or tries to.
    ///
    /// A rank announces what it reserves before it does so, and until it is done with the slot. So
    /// where a slot is reserved and no living rank announces it, it was reserved by one that has
    /// died.
    fn is_abandoned(&self, position: Position, reserve: impl Fn(&RankState) -> &Reserve) -> bool {
        let shape = self.memory.shape();
        let mut announced = (0..self.memory.ranks())
            .filter(|rank| reserve(self.memory.rank_state(*rank)).covers(position, shape))
            .peekable();
        announced.peek().is_some() && announced.all(|rank| !self.memory.is_alive(rank))
    }

    /// Where the next messages were to be put by a rank that has died, lets their slots be passed
    /// over.
    fn clear_what_was_not_put(&self) {
        let words = self.memory.words();
        let shape = self.memory.shape();
        let head = Position(words.head.0.load(Ordering::Acquire));
        // Acquire: what is reserved up to here was announced before.
        let tail = Position(words.tail.0.load(Ordering::Acquire));
        let mut next = head;
        while next != tail
            && self.is(next, Holds::Nothing)
            && self.is_abandoned(next, |rank_state| &rank_state.putting)
            && self.restamp(next, Holds::Nothing, shape.stamp(next, Holds::Void))
        {
            next = shape.next(next);
        }
        if next != head {
            self.ring_news();
        }
    }

    /// Where the next slot to fill was being emptied by a rank that has died, makes it free.
    fn clear_what_was_not_taken(&self) {
        let words = self.memory.words();
        let shape = self.memory.shape();
        let tail = Position(words.tail.0.load(Ordering::Acquire));
        let position = shape.one_lap_before(tail);
        // Acquire: what is reserved up to here was announced before.
        let head = Position(words.head.0.load(Ordering::Acquire));
        let is_taken = shape.distance(position, head).wrapping_sub(1) < shape.capacity();
        if !is_taken || !self.is(position, Holds::Message) {
            return;
        }
        let free = shape.stamp_after(position);
        if self.is_abandoned(position, |rank_state| &rank_state.taking)
            && self.restamp(position, Holds::Message, free)
        {
            self.ring_room();
        }
    }

    /// Stamps the slot of that position anew if it holds that; whether it did.
    fn restamp(&self, position: Position, holds: Holds, stamp: u64) -> bool {
        let shape = self.memory.shape();
        let old = shape.stamp(position, holds);
        self.memory
            .stamp(shape.index(position))
            .compare_exchange(old, stamp, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

impl<M: QueueMemory> Inspector<'_, M> {
    /// Looks after a rank, after the slot that comes next on either side, and after the server
    /// where there is one.
    pub(crate) fn inspect(&mut self) -> Result<(), Lost> {
        let queue = self.queue;
        self.next = (self.next + 1) % queue.memory.ranks();
        let ends = &queue.memory.rank_state(self.next).ends;
        let both = NO_PRODUCER | NO_CONSUMER;
        if ends.load(Ordering::Relaxed) & both != both && !queue.memory.is_alive(self.next) {
            ends.fetch_or(both, Ordering::SeqCst);
        }
        // Also for a rank that closed its consumer and died before it looked.
        queue.note_desertion();
        queue.clear_what_was_not_put();
        queue.clear_what_was_not_taken();
        queue.check_server()
    }
}
