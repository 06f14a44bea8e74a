//! A wait queue in a copy of its memory, for a process that is no rank.

use crate::shm::mapping::Mapping;
use crate::shm::view;
use crate::wait_queue::Standing;
use crate::wait_queue::layout::{Slot, WaitWords};
use crate::wait_queue::memory::QUEUE;
use std::sync::atomic::Ordering;

/// [`Layout::reader`](crate::shm::layout::Layout::reader) of an object that begins with a queue.
pub(crate) const READER: u32 = QUEUE;

/// What a queue looks like from outside.
pub(crate) struct Queue {
    /// By slot: those of the node's members, then those of the ranks of other nodes.
    pub(crate) standing: Standing,
    /// The number of permits, free or not.
    pub(crate) total: u32,
    /// How often a rank has had to wait so far.
    pub(crate) tickets: u64,
}

/// The queue of this number of slots in the `length` bytes at `start`, a multiple of a cache line inside the
/// memory. None if it is not there: it is on the node of its root only.
pub(crate) fn look(memory: &Mapping, start: usize, length: usize, slots: usize) -> Option<Queue> {
    let (words, lines) = view::in_copy::<WaitWords, Slot>(memory, start, length, slots)?;
    Some(Queue {
        standing: Standing::of(words, lines.iter().map(|line| &line.0)),
        total: words.total.load(Ordering::Relaxed),
        tickets: words.tickets.load(Ordering::Relaxed),
    })
}
