//! The memory of a table on the heap, shared by threads that stand for ranks: for tests and for the
//! model checker.

use crate::batch::table::layout::{Holder, TableMemory, TableWords, close_rest, level_lengths};
use crate::shm::atomic::{Arc, AtomicU8, AtomicU64};

/// One thread's view.
#[derive(Clone)]
pub(crate) struct HeapTable {
    shared: Arc<Shared>,
    /// Ranks that are considered dead.
    pub(crate) dead: Vec<usize>,
}

struct Shared {
    words: TableWords,
    bytes: Vec<AtomicU8>,
    levels: Vec<Vec<AtomicU64>>,
    holders: Vec<Holder>,
}

impl HeapTable {
    /// A table in which all of `tasks` are open, for `ranks`.
    pub(crate) fn new(tasks: usize, ranks: usize) -> Self {
        let zeroes = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let levels: Vec<_> = level_lengths(tasks).map(zeroes).collect();
        let mut below = tasks;
        for level in &levels {
            close_rest(level, below);
            below = level.len();
        }
        let offered_again = std::array::from_fn(|_| AtomicU64::new(0));
        HeapTable {
            shared: Arc::new(Shared {
                words: TableWords {
                    offered_again,
                    stopped: AtomicU64::new(0),
                },
                bytes: (0..tasks).map(|_| AtomicU8::new(0)).collect(),
                levels,
                holders: (0..ranks).map(|_| Holder::default()).collect(),
            }),
            dead: Vec::new(),
        }
    }
}

impl TableMemory for HeapTable {
    fn words(&self) -> &TableWords {
        &self.shared.words
    }

    fn bytes(&self) -> &[AtomicU8] {
        &self.shared.bytes
    }

    fn levels(&self) -> usize {
        self.shared.levels.len()
    }

    fn level(&self, level: usize) -> &[AtomicU64] {
        &self.shared.levels[level]
    }

    fn holder(&self, rank: usize) -> &Holder {
        &self.shared.holders[rank]
    }

    fn ranks(&self) -> usize {
        self.shared.holders.len()
    }

    fn is_alive(&self, rank: usize) -> bool {
        !self.dead.contains(&rank)
    }
}
