//! Recovery of the slots of ranks that have died.

use crate::channel::ring::Queue;
use crate::channel::ring::layout::{
    Announcement, NO_CONSUMER, NO_PRODUCER, Position, RankState, SlotState,
};
use crate::channel::ring::memory::QueueMemory;
use crate::channel::ring::relay::Lost;
use crate::shm::atomic::Ordering;

/// Checks for dead ranks; a waiting rank does so about once a millisecond.
pub(crate) struct Inspector<'a, M> {
    queue: &'a Queue<M>,
    /// The rank to check next; one at a time, as a check takes some microseconds.
    next: usize,
}

impl<M: QueueMemory> Queue<M> {
    pub(crate) fn inspector(&self) -> Inspector<'_, M> {
        Inspector {
            queue: self,
            next: self.memory.me(),
        }
    }

    /// Whether a dead rank has reserved this position, and no living rank has reserved it or tries
    /// to.
    ///
    /// A rank announces a slot before it reserves it, until it is done with it. So a reserved slot
    /// that no living rank announces was reserved by a dead rank.
    fn is_abandoned(
        &self,
        position: Position,
        announcement: impl Fn(&RankState) -> &Announcement,
    ) -> bool {
        let shape = self.memory.shape();
        let mut announced = (0..self.memory.ranks())
            .filter(|rank| announcement(self.memory.rank_state(*rank)).covers(position, shape))
            .peekable();
        announced.peek().is_some() && announced.all(|rank| !self.memory.is_alive(rank))
    }

    /// Makes void the slots at the head that a dead rank reserved but did not fill.
    fn recover_unfilled_slots(&self) {
        let words = self.memory.words();
        let shape = self.memory.shape();
        let head = Position(words.head.0.load(Ordering::Acquire));
        // Acquire: all reservations up to here were announced before.
        let tail = Position(words.tail.0.load(Ordering::Acquire));
        let mut next = head;
        while next != tail
            && self.is(next, SlotState::Free)
            && self.is_abandoned(next, |rank_state| &rank_state.putting)
            && self.restamp(next, SlotState::Free, shape.stamp(next, SlotState::Void))
        {
            next = shape.next(next);
        }
        if next != head {
            self.notify_not_empty();
        }
    }

    /// Frees the slot at the tail if a dead rank reserved its message but did not read it.
    fn recover_unread_slot(&self) {
        let words = self.memory.words();
        let shape = self.memory.shape();
        let tail = Position(words.tail.0.load(Ordering::Acquire));
        let position = shape.one_lap_before(tail);
        // Acquire: all reservations up to here were announced before.
        let head = Position(words.head.0.load(Ordering::Acquire));
        let is_taken = shape.distance(position, head).wrapping_sub(1) < shape.capacity();
        if !is_taken || !self.is(position, SlotState::Full) {
            return;
        }
        let free = shape.stamp_after(position);
        if self.is_abandoned(position, |rank_state| &rank_state.taking)
            && self.restamp(position, SlotState::Full, free)
        {
            self.notify_not_full();
        }
    }

    /// Replaces the stamp of that position's slot if the slot is in state `from`. Returns whether
    /// it was.
    fn restamp(&self, position: Position, from: SlotState, stamp: u64) -> bool {
        let shape = self.memory.shape();
        let old = shape.stamp(position, from);
        self.memory
            .stamp(shape.index(position))
            .compare_exchange(old, stamp, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

impl<M: QueueMemory> Inspector<'_, M> {
    /// Checks one rank, the next slot on either side, and the server if there is one.
    pub(crate) fn inspect(&mut self) -> Result<(), Lost> {
        let queue = self.queue;
        self.next = (self.next + 1) % queue.memory.ranks();
        let ends = &queue.memory.rank_state(self.next).ends;
        let both = NO_PRODUCER | NO_CONSUMER;
        if ends.load(Ordering::Relaxed) & both != both && !queue.memory.is_alive(self.next) {
            ends.fetch_or(both, Ordering::SeqCst);
        }
        // Also on behalf of a rank that closed its consumer and died before this check.
        queue.close_if_no_consumer();
        queue.recover_unfilled_slots();
        queue.recover_unread_slot();
        queue.check_server()
    }
}
