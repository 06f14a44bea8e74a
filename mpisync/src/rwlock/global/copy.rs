//! A node's copy of the data behind the lock, as far as the lock has to know of it.

use crate::rwlock::global::layout::VersionWords;
use crate::rwlock::global::version::Version;
use crate::rwlock::memory::LockMemory;
use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::block::Block;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// The most places of a change by which a writer makes a version.
pub(crate) const PLACES: usize = 16;

/// The words of a node's copy. All zero is the initial state.
#[repr(C)]
pub(crate) struct CopyWords {
    /// Its version. Stored by the rank that makes it, with the node's turn, and by the server for ranks of other nodes.
    pub(super) version: VersionWords,
    /// The version for which the server holds messages back. Stored by the server.
    pub(super) awaited: VersionWords,
    /// The last version that a rank of this node has made. Stored by that rank with the node's turn, as is what follows.
    made: VersionWords,
    /// The number of places that it has changed.
    count: AtomicU32,
    /// Start and length of each, in bytes.
    places: [[AtomicU64; 2]; PLACES],
}

/// A node's copy, as one of its ranks or its server sees it.
pub(crate) struct NodeCopy {
    memory: LockMemory,
}

impl NodeCopy {
    /// The copy of the node, for the object of this block, whose layout begins with that of a lock. There are several nodes.
    pub(crate) fn of(block: &Block) -> Self {
        let memory = LockMemory::new(block.first_part());
        NodeCopy { memory }
    }

    fn words(&self) -> &CopyWords {
        &self.memory.qnode().copy
    }

    /// Its version.
    pub(crate) fn version(&self) -> Version {
        self.words().version.get()
    }

    /// Notes that it has this version.
    pub(crate) fn set_version(&self, version: Version) {
        self.words().version.set(version);
    }

    /// The version for which this node waits.
    pub(crate) fn awaited(&self) -> Option<Version> {
        let awaited = self.words().awaited.get();
        (!self.version().includes(awaited)).then_some(awaited)
    }

    /// As a writer that has changed these ranges of bytes, at most [`PLACES`]: makes this version of them. From now on
    /// [`made`](Self::made) finds it.
    pub(crate) fn make(&self, version: Version, places: &[Range<usize>]) {
        let words = self.words();
        for ([start, length], place) in words.places.iter().zip(places) {
            start.store(place.start as u64, Ordering::Relaxed);
            length.store(place.len() as u64, Ordering::Relaxed);
        }
        words.count.store(places.len() as u32, Ordering::Relaxed);
        words.made.set(version);
        self.set_version(version);
    }

    /// What was changed in this version, if it is the last one that a rank of this node has made. These bytes stay as they
    /// are until all nodes have the version.
    pub(crate) fn made(&self, version: Version) -> Option<Vec<Range<usize>>> {
        let words = self.words();
        if words.made.get() != version {
            return None;
        }
        let count = words.count.load(Ordering::Relaxed) as usize;
        let places = words.places.iter().take(count).map(|[start, length]| {
            let start = start.load(Ordering::Relaxed) as usize;
            start..start + length.load(Ordering::Relaxed) as usize
        });
        Some(places.collect())
    }
}
