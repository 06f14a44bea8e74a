//! The words of a wait queue on the heap, shared by threads that stand for ranks: for tests and for
//! the model checker.

use crate::shm::atomic::{Arc, AtomicU32, AtomicU64};
use crate::shm::event::Sleepers;
use crate::shm::program::HeldAt;
use crate::shm::wait::Surroundings;
use crate::wait_queue::layout::{Slot, WaitWords};
use crate::wait_queue::memory::WaitMemory;
use core::sync::atomic;

/// One thread's view of the words.
pub(crate) struct HeapWaitQueue {
    shared: Arc<(WaitWords, Vec<Slot>)>,
    me: usize,
    /// A rank that is taken to have died.
    pub(crate) dead: Option<usize>,
}

impl HeapWaitQueue {
    /// A view for each of `ranks` threads.
    pub(crate) fn new(ranks: usize) -> Vec<Self> {
        let words = WaitWords {
            free_permits: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            broken: atomic::AtomicU32::new(0),
            called: AtomicU32::new(0),
            cargo: atomic::AtomicU64::new(0),
            total: atomic::AtomicU32::new(0),
            abandoned: atomic::AtomicU64::new(0),
            rebuilder: atomic::AtomicU32::new(0),
        };
        let slot = |_| Slot {
            want: AtomicU64::new(0),
            count: atomic::AtomicU32::new(0),
            held: atomic::AtomicU32::new(0),
            is_endless: atomic::AtomicU32::new(0),
            held_at: HeldAt::default(),
            futex_word: AtomicU32::new(0),
            sleepers: Sleepers::default(),
        };
        let shared = Arc::new((words, (0..ranks).map(slot).collect()));
        (0..ranks)
            .map(|me| HeapWaitQueue {
                shared: Arc::clone(&shared),
                me,
                dead: None,
            })
            .collect()
    }
}

impl Surroundings for HeapWaitQueue {
    fn progress(&self) {}

    fn is_alive(&self, rank: usize) -> bool {
        self.dead != Some(rank)
    }
}

impl WaitMemory for HeapWaitQueue {
    fn words(&self) -> &WaitWords {
        &self.shared.0
    }

    fn slot(&self, slot: usize) -> &Slot {
        &self.shared.1[slot]
    }

    fn slots(&self) -> usize {
        self.shared.1.len()
    }

    fn me(&self) -> usize {
        self.me
    }

    fn ring(&self, slot: usize) -> bool {
        self.slot(slot).event().notify(1);
        false
    }
}
