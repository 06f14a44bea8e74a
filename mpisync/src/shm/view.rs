//! A part of an object that has words for all ranks and a cache line for each rank of the node.

use crate::shm::domain::Domain;
use crate::shm::layout::Part;
use crate::shm::line::Line;
use crate::shm::mapping::{Mapping, Shareable};
use crate::shm::wait::{Stop, Surroundings};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// The part, as this rank or the node's server sees it.
pub(crate) struct View<W, S> {
    words: NonNull<W>,
    slots: NonNull<Line<S>>,
    count: usize,
    me: usize,
    /// Keeps the memory mapped.
    _chunk: Arc<Mapping>,
    domain: Arc<Domain>,
}

impl<W, S> View<W, S> {
    /// The length in bytes with `slots` lines.
    pub(crate) const fn length(slots: usize) -> usize {
        size_of::<W>() + slots * size_of::<Line<S>>()
    }

    /// The view of this part of an object's memory, with `count` lines.
    pub(crate) fn new(part: Part<'_>, count: usize) -> Self
    where
        W: Shareable,
        Line<S>: Shareable,
    {
        let (block, chunk, start) = (part.block, part.memory(), part.start());
        let slots: &[Line<S>] = chunk.slice(start + size_of::<W>(), count);
        View {
            words: NonNull::from(chunk.get(start)),
            slots: NonNull::from(slots).cast(),
            count,
            me: block.me(),
            _chunk: Arc::clone(chunk),
            domain: Arc::clone(block.domain()),
        }
    }

    /// The words that all ranks share.
    #[inline]
    pub(crate) fn words(&self) -> &W {
        // SAFETY: taken from a reference into the chunk, which `self` keeps mapped.
        unsafe { self.words.as_ref() }
    }

    /// The line of a rank.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> &S {
        assert!(slot < self.count, "a slot of the part");
        // SAFETY: taken from a slice of `count` values in the chunk, which `self` keeps mapped.
        unsafe { &self.slots.add(slot).as_ref().0 }
    }

    pub(crate) fn slots(&self) -> usize {
        self.count
    }

    /// The local rank of this process, or the number of the server.
    #[inline]
    pub(crate) fn me(&self) -> usize {
        self.me
    }

    pub(crate) fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }
}

// SAFETY: the pointers lead into the chunk, which any thread may use, to values that may be shared.
unsafe impl<W: Sync, S: Sync> Send for View<W, S> {}
// SAFETY: as above.
unsafe impl<W: Sync, S: Sync> Sync for View<W, S> {}

/// The words and the lines of a part in the `length` bytes at `start` of a copy of the memory; `start`
/// is a multiple of a cache line. None if there is not room for so many lines.
#[cfg(feature = "inspect")]
pub(crate) fn in_copy<W: Shareable, S>(
    memory: &Mapping,
    start: usize,
    length: usize,
    lines: usize,
) -> Option<(&W, &[Line<S>])>
where
    Line<S>: Shareable,
{
    let needed = (lines.checked_mul(size_of::<Line<S>>())?).checked_add(size_of::<W>())?;
    (needed <= length).then(|| {
        (
            memory.get(start),
            memory.slice(start + size_of::<W>(), lines),
        )
    })
}

/// For the ranks of this node.
impl<W, S> Surroundings for View<W, S> {
    fn progress(&self) {
        self.domain.progress();
    }

    fn poll_actively(&self, begins: bool) {
        self.domain.poll_actively(begins);
    }

    fn spin_budget(&self) -> Option<Duration> {
        self.domain.spin_budget()
    }

    fn longest_sleep(&self) -> Duration {
        self.domain.longest_sleep()
    }

    fn check_hosts(&self) -> Result<(), Stop> {
        self.domain.check_hosts()
    }

    fn is_alive(&self, slot: usize) -> bool {
        self.domain.is_alive(slot)
    }

    fn has_ended(&self, slot: usize) -> bool {
        self.domain.has_ended(slot)
    }
}
