//! The memory of a table, on the node that has it.

use crate::batch::table::layout::{TableWords, close_rest, level_lengths};
use crate::shm::atomic::{AtomicU8, AtomicU64};
use crate::shm::domain::Domain;
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::{ALIGN, Mapping, Shareable};
use crate::shm::topology::Topology;
use std::ops::Range;
use std::sync::Arc;

/// The words of one table, as one of the ranks sees them.
pub(crate) trait TableMemory {
    /// The words that all ranks share.
    fn words(&self) -> &TableWords;

    /// The tasks' bytes.
    fn bytes(&self) -> &[AtomicU8];

    /// How many tasks there are.
    fn tasks(&self) -> usize {
        self.bytes().len()
    }

    /// How many levels the index has.
    fn levels(&self) -> usize;

    /// A level of the index, from the tasks' own bits upwards.
    fn level(&self, level: usize) -> &[AtomicU64];

    /// The task that a rank of the communicator has, or is about to take, plus one. Stored by who
    /// acts for that rank.
    fn holder(&self, rank: usize) -> &AtomicU64;

    /// How many ranks there are.
    fn ranks(&self) -> usize;

    /// Whether a rank of the communicator still runs.
    fn is_alive(&self, rank: usize) -> bool;
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for TableWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<AtomicU64> {}
// SAFETY: as above.
unsafe impl Shareable for AtomicU8 {}

/// Where things lie: the words for all, a line for each rank of the communicator, the levels of the
/// index, the tasks' bytes.
#[derive(Clone, Debug)]
struct Places {
    ranks: usize,
    /// Where each level of the index lies, in bytes.
    levels: Vec<Range<usize>>,
    tasks: Range<usize>,
}

const HOLDERS_AT: usize = size_of::<TableWords>();

impl Places {
    fn new(topology: &Topology, tasks: usize) -> Self {
        let ranks = topology.size();
        let mut end = HOLDERS_AT + ranks * size_of::<Line<AtomicU64>>();
        let mut place = |length: usize| {
            let start = end;
            end += length.next_multiple_of(ALIGN);
            start..start + length
        };
        Places {
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

/// The layout of the table of so many tasks, on the node of `root`.
pub(crate) struct TableLayout {
    pub(crate) root: i32,
    pub(crate) tasks: usize,
}

impl Layout for TableLayout {
    fn length(&self, topology: &Topology) -> usize {
        if !topology.has_local(self.root) {
            return 0;
        }
        let places = Places::new(topology, self.tasks);
        places.tasks.end.next_multiple_of(ALIGN)
    }

    /// All tasks are open.
    fn prepare(&self, topology: &Topology, memory: &Mapping, start: usize) {
        if !topology.has_local(self.root) {
            return;
        }
        let places = Places::new(topology, self.tasks);
        let mut below = self.tasks;
        for level in 0..places.levels.len() {
            let words = places.level(memory, start, level);
            close_rest(words, below);
            below = words.len();
        }
    }
}

/// A table on this node.
pub(crate) struct SharedTable {
    places: Places,
    chunk: Arc<Mapping>,
    start: usize,
    domain: Arc<Domain>,
}

impl SharedTable {
    /// The one of so many tasks in that part of an object's memory.
    pub(crate) fn new(part: Part<'_>, tasks: usize) -> Self {
        let domain = part.block.domain();
        SharedTable {
            places: Places::new(domain.topology(), tasks),
            chunk: Arc::clone(part.memory()),
            start: part.start(),
            domain: Arc::clone(domain),
        }
    }
}

impl TableMemory for SharedTable {
    #[inline]
    fn words(&self) -> &TableWords {
        self.chunk.get(self.start)
    }

    #[inline]
    fn bytes(&self) -> &[AtomicU8] {
        let place = &self.places.tasks;
        self.chunk.slice(self.start + place.start, place.len())
    }

    #[inline]
    fn levels(&self) -> usize {
        self.places.levels.len()
    }

    #[inline]
    fn level(&self, level: usize) -> &[AtomicU64] {
        self.places.level(&self.chunk, self.start, level)
    }

    #[inline]
    fn holder(&self, rank: usize) -> &AtomicU64 {
        let start = self.start + HOLDERS_AT;
        let holders: &[Line<AtomicU64>] = self.chunk.slice(start, self.places.ranks);
        &holders[rank].0
    }

    fn ranks(&self) -> usize {
        self.places.ranks
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.domain.rank_is_alive(rank)
    }
}
