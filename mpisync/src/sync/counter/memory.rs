//! The memory of a counter.

use crate::shm::atomic::AtomicU64;
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::Shareable;
use crate::shm::topology::Topology;
use crate::shm::view::View;

type CountView = View<Line<AtomicU64>, AtomicU64>;

// SAFETY: an atomic, for which zero is a value.
unsafe impl Shareable for Line<AtomicU64> {}

/// The layout of a counter: one word, on each node.
pub(super) struct CounterLayout;

impl Layout for CounterLayout {
    fn length(&self, _: &Topology) -> usize {
        CountView::length(0)
    }
}

/// The word of a counter: its distance from the start. Only that of the root's node is in use.
pub(super) struct Count(CountView);

impl Count {
    pub(super) fn new(part: Part<'_>) -> Self {
        Count(View::new(part, 0))
    }

    #[inline]
    pub(super) fn word(&self) -> &AtomicU64 {
        &self.0.words().0
    }
}
