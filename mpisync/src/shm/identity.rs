//! What a chunk of shared memory begins with, by which a process outside recognizes it: the version
//! that has made it, and the segment that it belongs to.

use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::cells::Text;
use crate::shm::mapping::{Mapping, Shareable};
use crate::shm::members::{Header, Member};
use crate::shm::segment::{Segment, Shape};
use crate::shm::topology::Topology;
use crate::shm::waiting::record::WaitRecord;
use std::hash::{BuildHasher, RandomState};

/// The beginning of each chunk. Stored by the node's leader before other ranks use the chunk.
#[repr(C, align(128))]
pub(crate) struct Identity {
    // These three are in the same place in every version.
    /// [`MAGIC`], stored last.
    magic: AtomicU64,
    /// [`LAYOUT`].
    layout: AtomicU64,
    /// The version of mpisync.
    version: Text<3>,
    /// A random number of the segment, the same in all its chunks.
    segment: AtomicU64,
    /// The number of the chunk.
    chunk: AtomicU32,
    /// The [`Shape`] of the segment.
    members: AtomicU32,
    remote: AtomicU32,
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for Identity {}

const MAGIC: u64 = u64::from_ne_bytes(*b"mpisync\0");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The number of the layout: of this version of it, and of the sizes of its parts. To be counted up with
/// each change of a structure in shared memory.
const LAYOUT: u64 = {
    const NUMBER: u64 = 4;
    let sizes = [
        size_of::<usize>(),
        size_of::<Header>(),
        size_of::<Member>(),
        size_of::<WaitRecord>(),
    ];
    let (mut number, mut index) = (NUMBER, 0);
    while index < sizes.len() {
        number = number.wrapping_mul(0x100_0000_01b3) ^ sizes[index] as u64;
        index += 1;
    }
    number
};

/// Where the blocks begin in all chunks but the first.
pub(crate) const CHUNK_START: usize = size_of::<Identity>();

/// A chunk of which segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChunkOf {
    pub(crate) segment: u64,
    pub(crate) chunk: u32,
    pub(crate) shape: Shape,
}

/// Memory of another version of mpisync.
#[cfg(feature = "inspect")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OtherVersion(pub(crate) String);

impl Identity {
    fn set(&self, of: ChunkOf) {
        self.segment.store(of.segment, Ordering::Relaxed);
        self.chunk.store(of.chunk, Ordering::Relaxed);
        let Shape { members, remote } = of.shape;
        self.members.store(members as u32, Ordering::Relaxed);
        self.remote.store(remote as u32, Ordering::Relaxed);
        self.version.set(VERSION);
        self.layout.store(LAYOUT, Ordering::Relaxed);
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// What the chunk is, if it is one of mpisync.
    #[cfg(feature = "inspect")]
    pub(crate) fn get(&self) -> Option<Result<ChunkOf, OtherVersion>> {
        if self.magic.load(Ordering::Acquire) != MAGIC {
            return None;
        }
        let version = self.version.get();
        let layout = self.layout.load(Ordering::Relaxed);
        if version != VERSION || layout != LAYOUT {
            let same = if version == VERSION {
                ", built differently"
            } else {
                ""
            };
            return Some(Err(OtherVersion(version + same)));
        }
        Some(Ok(ChunkOf {
            segment: self.segment.load(Ordering::Relaxed),
            chunk: self.chunk.load(Ordering::Relaxed),
            shape: Shape {
                members: self.members.load(Ordering::Relaxed) as usize,
                remote: self.remote.load(Ordering::Relaxed) as usize,
            },
        }))
    }
}

impl Segment {
    /// As the leader: identifies the first chunk.
    pub(super) fn identify(&self, topology: &Topology) {
        let header = self.header();
        let (size, nodes) = (topology.size() as u32, topology.nodes());
        header.size.store(size, Ordering::Relaxed);
        header.nodes.store(nodes, Ordering::Relaxed);
        header.identity.set(ChunkOf {
            segment: RandomState::new().hash_one(std::process::id()),
            chunk: 0,
            shape: self.shape(),
        });
    }

    /// As the leader: identifies the next chunk, which no other rank uses yet.
    pub(crate) fn identify_next(&self, chunk: &Mapping) {
        let identity: &Identity = chunk.get(0);
        identity.set(ChunkOf {
            segment: self.header().identity.segment.load(Ordering::Relaxed),
            chunk: self.chunks(),
            shape: self.shape(),
        });
    }

    /// Stores the number of the communicator.
    pub(super) fn set_number(&self, number: u64) {
        self.header().number.store(number, Ordering::Relaxed);
    }

    /// As a process outside: the number of the communicator, and how many ranks and nodes it has.
    #[cfg(feature = "inspect")]
    pub(crate) fn communicator(&self) -> (u64, u32, u32) {
        let header = self.header();
        (
            header.number.load(Ordering::Relaxed),
            header.size.load(Ordering::Relaxed),
            header.nodes.load(Ordering::Relaxed),
        )
    }
}
