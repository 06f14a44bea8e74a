//! The words of a lock in the memory of a node: those of the node's lock and, if there are several
//! nodes, those of the node's qnode.

use crate::rwlock::global::layout::QNode;
use crate::rwlock::layout::{Gate, GateKind, RankWords, ThreadReaders, Words};
use crate::rwlock::shared::queue::ThreadQueue;
use crate::shm::domain::Domain;
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::{Mapping, Shareable};
use crate::shm::membarrier::Reach;
use crate::shm::segment::Shape;
use crate::shm::topology::Topology;
use crate::shm::wait::{Stop, Surroundings};
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::Duration;

/// The words of one lock as one rank sees them.
pub(crate) trait Memory: Surroundings {
    /// The words that all ranks share.
    fn words(&self) -> &Words;

    /// The gate that readers check.
    fn gate(&self) -> Gate<'_>;

    /// The words of the rank with this index on the node.
    fn rank_words(&self, rank: usize) -> &RankWords;

    /// The words of this rank.
    fn my_words(&self) -> &RankWords;

    /// The heavy fence that reaches all ranks; None unless each of them can run it.
    fn heavy_fence(&self) -> Option<Reach>;

    /// The number of ranks that share the words.
    fn ranks(&self) -> usize;

    /// The index of this rank.
    fn me(&self) -> usize;

    /// How many counters of reading threads each rank has. None in models of ranks that have one thread.
    fn counters(&self) -> usize;

    /// A counter of the rank with this index on the node.
    fn threads(&self, rank: usize, counter: usize) -> &ThreadReaders;

    /// The threads of this rank that write. None in models of ranks that have one thread.
    fn writers(&self) -> Option<&ThreadQueue>;
}

impl<M: Memory> Memory for &M {
    #[inline]
    fn words(&self) -> &Words {
        (**self).words()
    }

    #[inline]
    fn gate(&self) -> Gate<'_> {
        (**self).gate()
    }

    #[inline]
    fn rank_words(&self, rank: usize) -> &RankWords {
        (**self).rank_words(rank)
    }

    #[inline]
    fn my_words(&self) -> &RankWords {
        (**self).my_words()
    }

    fn heavy_fence(&self) -> Option<Reach> {
        (**self).heavy_fence()
    }

    #[inline]
    fn ranks(&self) -> usize {
        (**self).ranks()
    }

    #[inline]
    fn me(&self) -> usize {
        (**self).me()
    }

    #[inline]
    fn counters(&self) -> usize {
        (**self).counters()
    }

    #[inline]
    fn threads(&self, rank: usize, counter: usize) -> &ThreadReaders {
        (**self).threads(rank, counter)
    }

    fn writers(&self) -> Option<&ThreadQueue> {
        (**self).writers()
    }
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for Words {}
// SAFETY: as above.
unsafe impl Shareable for Line<RankWords> {}
// SAFETY: as above.
unsafe impl Shareable for Line<ThreadReaders> {}
// SAFETY: as above.
unsafe impl Shareable for QNode {}

/// The layout of a lock: the words for all ranks, then a line for each member, `more_counters` lines for the
/// threads of each member and, if there are several nodes, the qnode.
#[derive(Clone, Copy)]
pub(crate) struct LockLayout {
    /// How many counters of reading threads each rank has beside that in its line: one less than a power of two.
    more_counters: usize,
}

/// The reader of a lock.
pub(super) const LOCK: u32 = 1;

const RANKS_AT: usize = size_of::<Words>();

impl LockLayout {
    /// For ranks that have one thread.
    pub(crate) const ONE_THREAD: Self = LockLayout { more_counters: 0 };

    /// For this process alone, whose threads may share the lock.
    pub(crate) fn of_this_process() -> Self {
        /// More are not worth their memory.
        const MOST: usize = 16;
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores = CORES.get_or_init(|| available_parallelism().map_or(1, NonZero::get));
        Self::for_threads((*cores).min(MOST))
    }

    /// The number of threads of a rank nearest to `count` for which there can be a cache line each.
    #[cfg(feature = "mpi")]
    pub(crate) fn possible_threads(count: usize) -> usize {
        const MOST: usize = 256;
        count.clamp(1, MOST)
    }

    /// For ranks that have this number of threads, 1 at least: a power of two, which is quick to divide by.
    pub(crate) fn for_threads(threads: usize) -> Self {
        LockLayout {
            more_counters: threads.next_power_of_two() - 1,
        }
    }

    /// The layout of the lock in that part of an object's memory.
    pub(super) fn of(part: Part<'_>) -> Self {
        let words: &Words = part.memory().get(part.start());
        LockLayout {
            more_counters: words.more_counters(),
        }
    }

    /// The counters of threads beside the first ones, rank by rank, in the `length` bytes at `start` of a copy of the
    /// memory. None if there is not room for so many.
    #[cfg(feature = "inspect")]
    pub(super) fn counters_in_copy<'a>(
        words: &Words,
        memory: &'a Mapping,
        start: usize,
        length: usize,
        members: usize,
    ) -> Option<&'a [Line<ThreadReaders>]> {
        let count = members.checked_mul(words.more_counters())?;
        let needed = count.checked_mul(size_of::<Line<ThreadReaders>>())?;
        let has_room = needed.checked_add(counters_at(members))? <= length;
        has_room.then(|| memory.slice(start + counters_at(members), count))
    }

    fn qnode_at(self, members: usize) -> usize {
        counters_at(members) + members * self.more_counters * size_of::<Line<ThreadReaders>>()
    }
}

/// Where the further counters begin.
const fn counters_at(members: usize) -> usize {
    RANKS_AT + members * size_of::<Line<RankWords>>()
}

impl Words {
    pub(super) fn more_counters(&self) -> usize {
        self.drain.0.more_counters.load(Ordering::Relaxed) as usize
    }
}

impl Layout for LockLayout {
    fn length(&self, topology: &Topology) -> usize {
        let Shape { members, remote } = Shape::of(topology);
        let qnode = if remote > 0 { size_of::<QNode>() } else { 0 };
        self.qnode_at(members) + qnode
    }

    fn prepare(&self, _topology: &Topology, memory: &Mapping, start: usize) {
        let words: &Words = memory.get(start);
        let count = self.more_counters as u32;
        words.drain.0.more_counters.store(count, Ordering::Relaxed);
    }

    fn reader(&self) -> u32 {
        LOCK
    }
}

/// The words of one lock as this rank or the node's server sees them.
pub(crate) struct LockMemory {
    /// Pointers into `chunk`. They are stored because finding them takes longer than a read lock.
    words: NonNull<Words>,
    rank_words: NonNull<Line<RankWords>>,
    my_words: NonNull<RankWords>,
    /// The counters of threads beside the first one, rank by rank.
    more_counters: NonNull<Line<ThreadReaders>>,
    more_counters_each: usize,
    me: usize,
    members: usize,
    gate: GateKind,
    heavy_fence: Option<Reach>,
    /// The offset of the qnode, if the communicator spans nodes.
    qnode: Option<usize>,
    pub(super) writers: ThreadQueue,
    chunk: Arc<Mapping>,
    domain: Arc<Domain>,
}

impl LockMemory {
    /// The lock in that part of an object's memory.
    pub(crate) fn new(part: Part<'_>) -> Self {
        let (block, chunk, start) = (part.block, part.memory(), part.start());
        let domain: &Arc<Domain> = block.domain();
        let Shape { members, remote } = domain.segment().shape();
        let rank_words: &[Line<RankWords>] = chunk.slice(start + RANKS_AT, members);
        let layout = LockLayout::of(part);
        let counters = members * layout.more_counters;
        let more_counters: &[Line<ThreadReaders>] =
            chunk.slice(start + counters_at(members), counters);
        LockMemory {
            words: NonNull::from(chunk.get(start)),
            rank_words: NonNull::from(rank_words).cast(),
            my_words: NonNull::from(&rank_words[block.me()].0),
            more_counters: NonNull::from(more_counters).cast(),
            more_counters_each: layout.more_counters,
            me: block.me(),
            members,
            gate: match remote {
                0 => GateKind::Local,
                _ => GateKind::Global,
            },
            heavy_fence: domain.heavy_fence(),
            qnode: (remote > 0).then(|| start + layout.qnode_at(members)),
            writers: ThreadQueue::default(),
            chunk: Arc::clone(chunk),
            domain: Arc::clone(domain),
        }
    }

    /// The number of local ranks. The server's line comes after theirs.
    pub(crate) fn local_size(&self) -> usize {
        self.domain.topology().local_ranks().len()
    }

    pub(super) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The node's qnode. There are several nodes.
    pub(crate) fn qnode(&self) -> &QNode {
        let qnode = self.qnode.expect("there are several nodes");
        self.chunk.get(qnode)
    }
}

// SAFETY: the pointers point into `chunk`, which any thread may use, at words that are atomics.
unsafe impl Send for LockMemory {}
// SAFETY: as above.
unsafe impl Sync for LockMemory {}

impl Surroundings for LockMemory {
    fn progress(&self) {
        self.domain.progress();
    }

    fn poll_actively(&self, begins: bool) {
        self.domain.poll_actively(begins);
    }

    fn spin_budget(&self) -> Option<Duration> {
        self.domain.spin_budget()
    }

    fn longest_sleep(&self) -> Duration {
        self.domain.longest_sleep()
    }

    fn check(&self) -> Result<(), Stop> {
        if self.qnode.is_none() {
            return Ok(());
        }
        match self.qnode().broken.load(Ordering::Relaxed).checked_sub(1) {
            Some(rank) => Err(Stop::RankDied(rank)),
            None => Ok(()),
        }
    }

    fn check_hosts(&self) -> Result<(), Stop> {
        self.domain.check_hosts()
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.domain.is_alive(rank)
    }

    fn has_ended(&self, rank: usize) -> bool {
        self.domain.has_ended(rank)
    }
}

impl Memory for LockMemory {
    #[inline]
    fn words(&self) -> &Words {
        // SAFETY: taken from a reference into `chunk`, which `self` keeps mapped.
        unsafe { self.words.as_ref() }
    }

    #[inline]
    fn gate(&self) -> Gate<'_> {
        self.words().gate(self.gate)
    }

    #[inline]
    fn rank_words(&self, rank: usize) -> &RankWords {
        assert!(rank < self.members, "a local rank of this node");
        // SAFETY: taken from a slice of `members` values in `chunk`, which `self` keeps mapped.
        unsafe { &self.rank_words.add(rank).as_ref().0 }
    }

    #[inline]
    fn my_words(&self) -> &RankWords {
        // SAFETY: taken from a reference into `chunk`, which `self` keeps mapped.
        unsafe { self.my_words.as_ref() }
    }

    fn heavy_fence(&self) -> Option<Reach> {
        self.heavy_fence
    }

    #[inline]
    fn ranks(&self) -> usize {
        self.members
    }

    #[inline]
    fn me(&self) -> usize {
        self.me
    }

    #[inline]
    fn counters(&self) -> usize {
        1 + self.more_counters_each
    }

    #[inline]
    fn threads(&self, rank: usize, counter: usize) -> &ThreadReaders {
        let Some(further) = counter.checked_sub(1) else {
            return &self.rank_words(rank).threads;
        };
        assert!(
            rank < self.members && further < self.more_counters_each,
            "a counter of a local rank"
        );
        let index = rank * self.more_counters_each + further;
        // SAFETY: taken from a slice of `members * more_counters_each` values in `chunk`, which `self` keeps mapped.
        unsafe { &self.more_counters.add(index).as_ref().0 }
    }

    fn writers(&self) -> Option<&ThreadQueue> {
        Some(&self.writers)
    }
}
