//! The words and slots of a queue on the heap, shared by threads that act as ranks.

use crate::channel::ring::layout::{
    Account, Announcement, Position, QueueWords, RankState, Shape, SlotState,
};
use crate::channel::ring::memory::QueueMemory;
use crate::shm::atomic::{Arc, AtomicU32, AtomicU64, Ordering, Slot};
use crate::shm::event::{FutexWord, Sleepers};
use crate::shm::line::Line;
use crate::shm::wait::Surroundings;

/// One thread's view of a queue's memory.
pub(crate) struct HeapQueue {
    shared: Arc<Shared>,
    me: usize,
}

struct Shared {
    words: QueueWords,
    rank_states: Vec<Line<RankState>>,
    shape: Shape,
    slots: Vec<(AtomicU64, Slot<u64>)>,
    /// A bit for each rank that counts as dead.
    dead: std::sync::atomic::AtomicU32,
}

// SAFETY: only the thread that has reserved a slot uses its cell. The tests check that.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl HeapQueue {
    /// One view for each of `ranks` threads. The first message has the position `start`, the first
    /// of a lap.
    pub(crate) fn new(ranks: usize, capacity: u64, start: Position) -> Vec<Self> {
        let number = || AtomicU64::new(start.0);
        let futex_word = || {
            Line(FutexWord {
                word: AtomicU32::new(0),
                sleepers: Sleepers::default(),
            })
        };
        let rank_state = |_| {
            Line(RankState {
                putting: Announcement::default(),
                taking: Announcement::default(),
                ends: AtomicU32::new(0),
                waits: AtomicU32::new(0),
                call: AtomicU32::new(0),
                question: AtomicU64::new(0),
                futures: AtomicU64::new(0),
            })
        };
        let shape = Shape::new(capacity);
        let free = shape.stamp(start, SlotState::Free);
        let shared = Arc::new(Shared {
            words: QueueWords {
                tail: Line(number()),
                head: Line(number()),
                not_empty: futex_word(),
                not_full: futex_word(),
                account: Line(Account {
                    claimed: AtomicU64::new(0),
                    voids: AtomicU64::new(0),
                    start: number(),
                    endings: AtomicU32::new(0),
                    closed: AtomicU32::new(0),
                }),
            },
            rank_states: (0..ranks).map(rank_state).collect(),
            shape,
            slots: (0..capacity)
                .map(|_| (AtomicU64::new(free), Slot::new(0)))
                .collect(),
            dead: Default::default(),
        });
        (0..ranks)
            .map(|me| HeapQueue {
                shared: Arc::clone(&shared),
                me,
            })
            .collect()
    }

    /// Stores a message in a reserved slot.
    pub(crate) fn write(&self, index: usize, message: u64) {
        let cell = &self.shared.slots[index].1;
        // SAFETY: the slot is reserved for this thread.
        cell.with_mut(|slot| unsafe { *slot = message });
    }

    /// The message of a reserved slot.
    pub(crate) fn read(&self, index: usize) -> u64 {
        let cell = &self.shared.slots[index].1;
        // SAFETY: the slot is reserved for this thread.
        cell.with(|slot| unsafe { *slot })
    }

    /// Marks this rank as dead.
    pub(crate) fn die(&self) {
        self.shared.dead.fetch_or(1 << self.me, Ordering::SeqCst);
    }
}

impl Surroundings for HeapQueue {
    fn progress(&self) {}

    fn is_alive(&self, rank: usize) -> bool {
        self.shared.dead.load(Ordering::SeqCst) & 1 << rank == 0
    }
}

impl QueueMemory for HeapQueue {
    fn words(&self) -> &QueueWords {
        &self.shared.words
    }

    fn rank_state(&self, rank: usize) -> &RankState {
        &self.shared.rank_states[rank].0
    }

    fn shape(&self) -> Shape {
        self.shared.shape
    }

    fn stamp(&self, index: usize) -> &AtomicU64 {
        &self.shared.slots[index].0
    }

    fn ranks(&self) -> usize {
        self.shared.rank_states.len()
    }

    fn me(&self) -> usize {
        self.me
    }
}
