//! The words of a lock in the memory of a node: those of the node's lock and, if there are several
//! nodes, those of the node's qnode.

use crate::rwlock::global::layout::QNode;
use crate::rwlock::layout::{Gate, GateKind, RankWords, Words};
use crate::shm::domain::Domain;
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::{Mapping, Shareable};
use crate::shm::membarrier::Reach;
use crate::shm::segment::Shape;
use crate::shm::topology::Topology;
use crate::shm::wait::{Stop, Surroundings};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for Words {}
// SAFETY: as above.
unsafe impl Shareable for Line<RankWords> {}
// SAFETY: as above.
unsafe impl Shareable for QNode {}

/// The layout of a lock: the words for all ranks, then a line for each member and, if there are several
/// nodes, the qnode.
pub(crate) struct LockLayout;

/// The reader of a lock.
pub(super) const LOCK: u32 = 1;

const RANKS_AT: usize = size_of::<Words>();

impl LockLayout {
    fn qnode_at(members: usize) -> usize {
        RANKS_AT + members * size_of::<Line<RankWords>>()
    }
}

impl Layout for LockLayout {
    fn length(&self, topology: &Topology) -> usize {
        let Shape { members, remote } = Shape::of(topology);
        let qnode = if remote > 0 { size_of::<QNode>() } else { 0 };
        Self::qnode_at(members) + qnode
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
    me: usize,
    members: usize,
    gate: GateKind,
    heavy_fence: Option<Reach>,
    /// The offset of the qnode, if the communicator spans nodes.
    qnode: Option<usize>,
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
        LockMemory {
            words: NonNull::from(chunk.get(start)),
            rank_words: NonNull::from(rank_words).cast(),
            my_words: NonNull::from(&rank_words[block.me()].0),
            me: block.me(),
            members,
            gate: match remote {
                0 => GateKind::Local,
                _ => GateKind::Global,
            },
            heavy_fence: domain.heavy_fence(),
            qnode: (remote > 0).then(|| start + LockLayout::qnode_at(members)),
            chunk: Arc::clone(chunk),
            domain: Arc::clone(domain),
        }
    }

    /// The number of local ranks. The server's line comes after theirs.
    pub(crate) fn local_size(&self) -> usize {
        self.domain.topology().local_ranks().len()
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
}
