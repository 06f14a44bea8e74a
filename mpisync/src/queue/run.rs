//! Slots that a rank has reserved, one after another.

use super::Queue;
use crate::memory::QueueMemory;
use crate::memory::atomic::Ordering;
use crate::memory::words::queue::{Holds, Position};

/// Slots to put messages into. Those that are left when it is dropped never hold one, and are passed over.
#[must_use]
pub(crate) struct Putting<'a, M: QueueMemory> {
    queue: &'a Queue<M>,
    next: Position,
    left: usize,
}

/// Messages to take. Those that are left when it is dropped are lost.
#[must_use]
pub(crate) struct Taking<'a, M: QueueMemory> {
    queue: &'a Queue<M>,
    next: Position,
    left: usize,
}

impl<'a, M: QueueMemory> Putting<'a, M> {
    #[inline]
    pub(super) fn new(queue: &'a Queue<M>, next: Position, left: usize) -> Self {
        Putting { queue, next, left }
    }

    /// How many slots are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// The slot to fill next.
    #[inline]
    pub(crate) fn index(&self) -> Option<usize> {
        let shape = self.queue.memory.shape();
        (self.left > 0).then(|| shape.index(self.next))
    }

    /// That slot has its message now.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.settle(Holds::Message);
    }

    #[inline]
    fn settle(&mut self, holds: Holds) {
        debug_assert!(self.left > 0, "a slot is left");
        let shape = self.queue.memory.shape();
        let stamp = self.queue.memory.stamp(shape.index(self.next));
        let full = shape.stamp(self.next, holds);
        self.left -= 1;
        // Release: the message was written.
        stamp.store(full, Ordering::Release);
        self.next = shape.next(self.next);
    }
}

impl<M: QueueMemory> Drop for Putting<'_, M> {
    #[inline]
    fn drop(&mut self) {
        while self.left > 0 {
            self.settle(Holds::Void);
        }
        self.queue.my_party().putting.withdraw();
        self.queue.ring_news();
    }
}

impl<'a, M: QueueMemory> Taking<'a, M> {
    #[inline]
    pub(super) fn new(queue: &'a Queue<M>, next: Position, left: usize) -> Self {
        Taking { queue, next, left }
    }

    /// How many messages are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// The slot of the next message.
    #[inline]
    pub(crate) fn index(&self) -> Option<usize> {
        let shape = self.queue.memory.shape();
        (self.left > 0).then(|| shape.index(self.next))
    }

    /// That message was read.
    #[inline]
    pub(crate) fn free(&mut self) {
        debug_assert!(self.left > 0, "a message is left");
        self.queue.free(self.next);
        self.left -= 1;
        self.next = self.queue.memory.shape().next(self.next);
    }
}

impl<M: QueueMemory> Drop for Taking<'_, M> {
    #[inline]
    fn drop(&mut self) {
        while self.left > 0 {
            self.free();
        }
        self.queue.my_party().taking.withdraw();
        self.queue.ring_room();
    }
}
