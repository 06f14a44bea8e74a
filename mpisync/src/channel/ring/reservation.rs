//! Slots that a rank has reserved, one after another.

use crate::channel::ring::Queue;
use crate::channel::ring::layout::{Holds, Position};
use crate::channel::ring::memory::QueueMemory;
use crate::shm::atomic::Ordering;

/// Slots to put messages into. Those that are left when it is dropped never hold one, and are
/// passed over.
#[must_use]
pub(crate) struct Putting<'a, M: QueueMemory>(Reservation<'a, M>);

/// Messages to take. Those that are left when it is dropped are lost.
#[must_use]
pub(crate) struct Taking<'a, M: QueueMemory>(Reservation<'a, M>);

/// What is left of slots in a row.
struct Reservation<'a, M: QueueMemory> {
    queue: &'a Queue<M>,
    next: Position,
    left: usize,
}

impl<'a, M: QueueMemory> Reservation<'a, M> {
    #[inline]
    fn index(&self) -> Option<usize> {
        let shape = self.queue.memory.shape();
        (self.left > 0).then(|| shape.index(self.next))
    }

    /// Goes on to the next slot; the position of the one before.
    #[inline]
    fn advance(&mut self) -> Position {
        debug_assert!(self.left > 0, "a slot is left");
        let done = self.next;
        self.left -= 1;
        self.next = self.queue.memory.shape().next(done);
        done
    }
}

impl<'a, M: QueueMemory> Putting<'a, M> {
    #[inline]
    pub(in crate::channel) fn new(queue: &'a Queue<M>, next: Position, left: usize) -> Self {
        Putting(Reservation { queue, next, left })
    }

    /// How many slots are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.0.left
    }

    /// The slot to fill next.
    #[inline]
    pub(crate) fn index(&self) -> Option<usize> {
        self.0.index()
    }

    /// That slot has its message now.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.settle(Holds::Message);
    }

    #[inline]
    fn settle(&mut self, holds: Holds) {
        let position = self.0.advance();
        let memory = &self.0.queue.memory;
        let shape = memory.shape();
        let stamp = memory.stamp(shape.index(position));
        // Release: the message was written.
        stamp.store(shape.stamp(position, holds), Ordering::Release);
    }
}

impl<M: QueueMemory> Drop for Putting<'_, M> {
    #[inline]
    fn drop(&mut self) {
        while self.left() > 0 {
            self.settle(Holds::Void);
        }
        self.0.queue.my_state().putting.withdraw();
        self.0.queue.ring_news();
    }
}

impl<'a, M: QueueMemory> Taking<'a, M> {
    #[inline]
    pub(in crate::channel) fn new(queue: &'a Queue<M>, next: Position, left: usize) -> Self {
        Taking(Reservation { queue, next, left })
    }

    /// How many messages are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.0.left
    }

    /// The slot of the next message.
    #[inline]
    pub(crate) fn index(&self) -> Option<usize> {
        self.0.index()
    }

    /// That message was read.
    #[inline]
    pub(crate) fn free(&mut self) {
        let position = self.0.advance();
        self.0.queue.free(position);
    }
}

impl<M: QueueMemory> Drop for Taking<'_, M> {
    #[inline]
    fn drop(&mut self) {
        while self.left() > 0 {
            self.free();
        }
        self.0.queue.my_state().taking.withdraw();
        self.0.queue.ring_room();
    }
}
