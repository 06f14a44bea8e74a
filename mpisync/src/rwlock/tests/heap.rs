//! The words of a lock on the heap, shared by threads in place of ranks.

use crate::rwlock::layout::{
    Drain, Gate, GateKind, GateWords, RankWords, Tally, ThreadReaders, Words,
};
use crate::rwlock::memory::Memory;
use crate::rwlock::range::layout::{RangeSlot, RangeWords};
use crate::rwlock::shared::queue::ThreadQueue;
use crate::shm::atomic::{Arc, AtomicU32};
use crate::shm::event::Sleepers;
use crate::shm::line::Line;
use crate::shm::membarrier::Reach;
use crate::shm::program::HeldAt;
use crate::shm::wait::Surroundings;

/// One thread's view of the words.
pub(crate) struct HeapMemory {
    words: Arc<(Words, Vec<Line<RankWords>>)>,
    me: usize,
    gate: GateKind,
    /// Whether readers may do without a barrier.
    pub(crate) biased: bool,
    /// A rank that is taken to have died.
    pub(crate) dead: Option<usize>,
    /// If this rank has several threads: those that write.
    pub(crate) writers: Option<ThreadQueue>,
    /// How many counters of threads a rank has. One at most.
    pub(crate) counters: usize,
}

impl HeapMemory {
    /// A view for each of `ranks` threads.
    pub(crate) fn new(ranks: usize, gate: GateKind) -> Vec<Self> {
        let word = || AtomicU32::new(0);
        let words = Words {
            gate_words: Line(GateWords {
                turn: word(),
                openings: word(),
                run: word(),
                global_gate: word(),
                turn_sleepers: Sleepers::default(),
                opening_sleepers: Sleepers::default(),
            }),
            drain: Line(Drain {
                drained: word(),
                sleepers: Sleepers::default(),
                ranges: RangeWords::new(),
                more_counters: Default::default(),
            }),
        };
        let rank_words = |_| {
            Line(RankWords {
                slot: word(),
                request: word(),
                tally: Tally::default(),
                held_at: HeldAt::default(),
                range: RangeSlot::default(),
                threads: ThreadReaders {
                    count: word(),
                    held_at: HeldAt::default(),
                },
            })
        };
        let shared = Arc::new((words, (0..ranks).map(rank_words).collect()));
        (0..ranks)
            .map(|me| HeapMemory {
                words: Arc::clone(&shared),
                me,
                gate,
                biased: false,
                dead: None,
                writers: None,
                counters: 0,
            })
            .collect()
    }
}

impl Surroundings for HeapMemory {
    fn progress(&self) {}

    fn is_alive(&self, rank: usize) -> bool {
        self.dead != Some(rank)
    }
}

impl Memory for HeapMemory {
    fn words(&self) -> &Words {
        &self.words.0
    }

    fn gate(&self) -> Gate<'_> {
        self.words().gate(self.gate)
    }

    fn rank_words(&self, rank: usize) -> &RankWords {
        &self.words.1[rank].0
    }

    fn my_words(&self) -> &RankWords {
        self.rank_words(self.me)
    }

    fn heavy_fence(&self) -> Option<Reach> {
        self.biased.then_some(Reach::Process)
    }

    fn ranks(&self) -> usize {
        self.words.1.len()
    }

    fn me(&self) -> usize {
        self.me
    }

    fn counters(&self) -> usize {
        self.counters
    }

    fn threads(&self, rank: usize, _counter: usize) -> &ThreadReaders {
        &self.rank_words(rank).threads
    }

    fn writers(&self) -> Option<&ThreadQueue> {
        self.writers.as_ref()
    }
}
