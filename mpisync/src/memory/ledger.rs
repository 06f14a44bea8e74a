//! The memory of a ledger, on the node that has it.

use super::LedgerMemory;
use super::block::Block;
use super::domain::Domain;
use super::mapping::{ALIGN, Mapping, Shareable};
use super::topology::Topology;
use super::words::ledger::{LedgerWords, close_rest, level_lengths};
use super::words::lock::Line;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64};

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for LedgerWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<AtomicU64> {}
// SAFETY: as above.
unsafe impl Shareable for AtomicU8 {}

/// Where things lie: the words for all, a line for each rank of the communicator, the levels of the index, the tasks' bytes.
#[derive(Clone, Debug)]
struct Layout {
    ranks: usize,
    /// Where each level of the index lies, in bytes.
    levels: Vec<Range<usize>>,
    tasks: Range<usize>,
}

const HOLDERS_AT: usize = size_of::<LedgerWords>();

impl Layout {
    fn new(topology: &Topology, tasks: usize) -> Self {
        let ranks = topology.size();
        let mut end = HOLDERS_AT + ranks * size_of::<Line<AtomicU64>>();
        let mut place = |length: usize| {
            let start = end;
            end += length.next_multiple_of(ALIGN);
            start..start + length
        };
        Layout {
            ranks,
            levels: level_lengths(tasks)
                .map(|words| place(words * size_of::<AtomicU64>()))
                .collect(),
            tasks: place(tasks),
        }
    }

    fn level<'a>(&self, chunk: &'a Mapping, start: usize, level: usize) -> &'a [AtomicU64] {
        let place = &self.levels[level];
        chunk.slice(start + place.start, place.len() / size_of::<AtomicU64>())
    }
}

/// How many bytes it takes.
pub(super) fn length(topology: &Topology, tasks: usize) -> usize {
    let layout = Layout::new(topology, tasks);
    layout.tasks.end.next_multiple_of(ALIGN)
}

/// Makes it one in which all tasks are open, in memory that is zero from `start` on.
pub(super) fn prepare(topology: &Topology, tasks: usize, chunk: &Mapping, start: usize) {
    let layout = Layout::new(topology, tasks);
    let mut below = tasks;
    for level in 0..layout.levels.len() {
        let words = layout.level(chunk, start, level);
        close_rest(words, below);
        below = words.len();
    }
}

/// A ledger on this node.
pub(crate) struct Table {
    layout: Layout,
    chunk: Arc<Mapping>,
    start: usize,
    domain: Arc<Domain>,
}

impl Table {
    /// The one behind `block`.
    pub(crate) fn new(block: &Block, tasks: usize) -> Self {
        let (chunk, start) = block.annex();
        Table {
            layout: Layout::new(block.domain().topology(), tasks),
            chunk: Arc::clone(chunk),
            start,
            domain: Arc::clone(block.domain()),
        }
    }
}

impl LedgerMemory for Table {
    #[inline]
    fn words(&self) -> &LedgerWords {
        self.chunk.get(self.start)
    }

    #[inline]
    fn bytes(&self) -> &[AtomicU8] {
        let place = &self.layout.tasks;
        self.chunk.slice(self.start + place.start, place.len())
    }

    #[inline]
    fn levels(&self) -> usize {
        self.layout.levels.len()
    }

    #[inline]
    fn level(&self, level: usize) -> &[AtomicU64] {
        self.layout.level(&self.chunk, self.start, level)
    }

    #[inline]
    fn holder(&self, rank: usize) -> &AtomicU64 {
        let start = self.start + HOLDERS_AT;
        let holders: &[Line<AtomicU64>] = self.chunk.slice(start, self.layout.ranks);
        &holders[rank].0
    }

    fn ranks(&self) -> usize {
        self.layout.ranks
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.domain.rank_is_alive(rank)
    }
}
