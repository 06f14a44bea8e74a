//! A lock in a copy of its memory, for a process that is no rank.

use crate::rwlock::layout::{NOT_REQUESTED, RankWords, Words};
use crate::rwlock::memory::{LOCK, LockLayout};
use crate::rwlock::node::Holders;
use crate::shm::mapping::Mapping;
use crate::shm::view;
use std::sync::atomic::Ordering;

/// [`Layout::reader`](crate::shm::layout::Layout::reader) of an object that begins with a lock.
pub(crate) const READER: u32 = LOCK;

/// What a lock looks like from outside.
pub(crate) struct Lock {
    /// By local rank.
    pub(crate) holders: Holders,
    /// Whether the writer has entered: it no longer waits for readers to leave.
    pub(crate) has_entered: bool,
    /// How often its gate was opened so far, modulo 2^32; on several nodes, a number without meaning.
    pub(crate) openings: u32,
}

/// The lock of this number of members in the `length` bytes at `start`, a multiple of a cache line inside
/// the memory. None if it is not there.
pub(crate) fn look(memory: &Mapping, start: usize, length: usize, members: usize) -> Option<Lock> {
    let (words, lines) = view::in_copy::<Words, RankWords>(memory, start, length, members)?;
    let counters = LockLayout::counters_in_copy(words, memory, start, length, members)?;
    let threads_read = |rank: usize| {
        let more = counters.get(rank * words.more_counters()..);
        let more = more.unwrap_or_default().iter().map(|line| &line.0);
        let first = lines.get(rank).map(|line| &line.0.threads);
        let mut counters = first.into_iter().chain(more.take(words.more_counters()));
        counters.any(|threads| threads.count.load(Ordering::Relaxed) != 0)
    };
    let holders = Holders::of(words, lines.iter().map(|line| &line.0), threads_read);
    let request = |writer: usize| lines.get(writer).map(|line| &line.0.request);
    let request = holders.writer.and_then(request);
    Some(Lock {
        has_entered: request.is_some_and(|it| it.load(Ordering::Relaxed) == NOT_REQUESTED),
        openings: words.gate_words.0.openings.load(Ordering::Relaxed),
        holders,
    })
}
