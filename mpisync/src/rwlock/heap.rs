//! The words of a lock on the heap, shared by threads that stand for ranks: for tests and for the
//! model checker.

use crate::rwlock::layout::{Door, DoorKind, Drain, Entrance, RankWords, Tally, Words};
use crate::rwlock::memory::Memory;
use crate::shm::atomic::{Arc, AtomicU32};
use crate::shm::event::Sleepers;
use crate::shm::line::Line;
use crate::shm::wait::Surroundings;

/// One thread's view of the words.
pub(crate) struct HeapMemory {
    words: Arc<(Words, Vec<Line<RankWords>>)>,
    me: usize,
    door: DoorKind,
    /// Whether readers may do without a barrier.
    pub(crate) biased: bool,
    /// A rank that is taken to have died.
    pub(crate) dead: Option<usize>,
}

impl HeapMemory {
    /// A view for each of `ranks` threads.
    pub(crate) fn new(ranks: usize, door: DoorKind) -> Vec<Self> {
        let word = || AtomicU32::new(0);
        let words = Words {
            entrance: Line(Entrance {
                turn: word(),
                openings: word(),
                run: word(),
                gate: word(),
                turn_sleepers: Sleepers::default(),
                opening_sleepers: Sleepers::default(),
            }),
            drain: Line(Drain {
                drained: word(),
                sleepers: Sleepers::default(),
            }),
        };
        let rank_words = |_| {
            Line(RankWords {
                slot: word(),
                want: word(),
                tally: Tally::default(),
            })
        };
        let shared = Arc::new((words, (0..ranks).map(rank_words).collect()));
        (0..ranks)
            .map(|me| HeapMemory {
                words: Arc::clone(&shared),
                me,
                door,
                biased: false,
                dead: None,
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

    fn door(&self) -> Door<'_> {
        self.words().door(self.door)
    }

    fn rank_words(&self, rank: usize) -> &RankWords {
        &self.words.1[rank].0
    }

    fn my_words(&self) -> &RankWords {
        self.rank_words(self.me)
    }

    fn can_be_biased(&self) -> bool {
        self.biased
    }

    fn ranks(&self) -> usize {
        self.words.1.len()
    }

    fn me(&self) -> usize {
        self.me
    }
}
