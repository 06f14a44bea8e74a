//! The memory of a counter.

use crate::shm::atomic::AtomicU64;
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::topology::Topology;
use crate::shm::view::View;

type CountView = View<Line<AtomicU64>, AtomicU64>;

/// The layout of a counter: one word.
pub(super) struct CounterLayout;

impl Layout for CounterLayout {
    fn length(&self, _: &Topology) -> usize {
        CountView::length(0)
    }
}

/// The word that ranks count in, on the root's node: how far the counter is from its start.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::block::Block;
    use crate::sync::Counter;

    #[test]
    fn a_counter_takes_two_lines_whatever_the_number_of_ranks() {
        const TWO_LINES: usize = 256;
        let nodes = |ranks: u32| (0..ranks).map(|rank| rank - rank % 4).collect::<Vec<_>>();
        let several_nodes = Topology::new(0, &nodes(12));
        for topology in [
            Topology::one_node(0, 1),
            Topology::one_node(3, 1000),
            several_nodes,
        ] {
            assert_eq!(Block::length(&CounterLayout, &topology), TWO_LINES);
        }
        let counter = Counter::<u32>::local();
        assert_eq!(counter.object.block().size(), TWO_LINES);
    }
}
