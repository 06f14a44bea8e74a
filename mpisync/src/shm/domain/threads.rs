//! Ranks that are threads of one process, over memory on its heap. No MPI takes part.
//!
//! A rank ends when its domain is dropped, or else with its thread. The process cannot die without all of
//! them, so none is looked up.

use crate::shm::domain::{Domain, RanksAre};
use crate::shm::mapping::Mapping;
use crate::shm::segment::{Segment, Shape};
use crate::shm::topology::Topology;
use crate::shm::wait::LONGEST_SLEEP;
use crate::transport::Transport;
use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZero;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

/// The ranks that a thread is.
struct ThisThread {
    /// Differs from those of other threads and processes. Never 0.
    number: u64,
    ranks: Vec<Weak<Domain>>,
}

impl Drop for ThisThread {
    fn drop(&mut self) {
        // Of those that were leaked.
        for domain in self.ranks.iter().filter_map(Weak::upgrade) {
            domain.note_own_end(thread::panicking());
        }
    }
}

thread_local! {
    static THIS_THREAD: RefCell<Option<ThisThread>> = const { RefCell::new(None) };
}

/// The number of this thread if it is a rank by itself.
pub(in crate::shm) fn number_of_this_thread() -> Option<u64> {
    let number = THIS_THREAD.try_with(|this| {
        let this = this.borrow();
        let this = this.as_ref()?;
        let is_rank = this.ranks.iter().any(|domain| domain.strong_count() > 0);
        is_rank.then_some(this.number)
    });
    // A thread that ends has none.
    number.unwrap_or_default()
}

impl Domain {
    /// The domains of ranks that are threads of this process, one for each, with room for one block of
    /// this length. The number is one more than the first rank whose thread has panicked while it was
    /// the rank, or 0.
    pub(crate) fn of_threads(size: usize, block: usize) -> (Vec<Arc<Self>>, Arc<AtomicU32>) {
        let shape = Shape::of(&Topology::one_node(0, size));
        let memory = Arc::new(Mapping::private(Segment::first_length(shape) + block));
        let first_panicked = Arc::new(AtomicU32::new(0));
        let longest_sleep = longest_sleep(size);
        let domain = |rank| {
            let topology = Topology::one_node(rank, size);
            let memory = Arc::clone(&memory);
            let ranks_are = RanksAre::Threads {
                first_panicked: Arc::clone(&first_panicked),
                longest_sleep,
            };
            let domain = Self::new(ranks_are, topology, memory, Transport::SharedMemory);
            domain.note_program();
            Arc::new(domain)
        };
        let domains = (0..size as u32).map(domain).collect();
        (domains, first_panicked)
    }

    /// From now on this thread is the rank of this domain, which is one of [`of_threads`](Self::of_threads).
    pub(crate) fn enter_thread(self: &Arc<Self>) {
        let number = THIS_THREAD.with_borrow_mut(|this| {
            let this = this.get_or_insert_with(|| ThisThread {
                number: RandomState::new().hash_one(thread::current().id()) | 1,
                ranks: Vec::new(),
            });
            this.ranks.retain(|domain| domain.strong_count() > 0);
            this.ranks.push(Arc::downgrade(self));
            this.number
        });
        let ranks = self.topology.local_ranks();
        self.segment.record_waits(ranks, Some(number));
    }

    /// Whether its ranks are threads of this process.
    pub(in crate::shm) fn is_of_threads(&self) -> bool {
        matches!(self.ranks_are, RanksAre::Threads { .. })
    }
}

/// The longest sleep of a waiting thread, if the ranks are this many threads.
fn longest_sleep(threads: usize) -> Duration {
    /// How many threads that sleep for a millisecond at a time leave a core to one that works.
    const THREADS_A_CORE: usize = 16;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let times = threads.div_ceil(cores * THREADS_A_CORE);
    LONGEST_SLEEP * times as u32
}

impl Drop for Domain {
    fn drop(&mut self) {
        if let RanksAre::Threads { first_panicked, .. } = &self.ranks_are {
            let panicking = thread::panicking();
            if panicking {
                let rank = self.topology.rank() + 1;
                let _ = first_panicked.compare_exchange(0, rank, Relaxed, Relaxed);
            }
            self.note_own_end(panicking);
        }
    }
}
