//! The memory that one communicator's ranks share on this node: what is kept once a communicator,
//! and blocks that are handed out to controllers.
//!
//! It begins as one chunk and grows by further chunks, so that ten thousand controllers need a
//! handful of shared mappings. Which block a controller gets is decided by the leader (rank 0 of
//! the node) and told to the others while the controller is made. Giving a block back is local:
//! each rank counts itself off, and the last one puts the block on a list from which the leader
//! takes it again.

use crate::shm::arrival::ArrivalSlot;
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::block::BlockHeader;
use crate::shm::event::{Event, Sleepers};
use crate::shm::lock;
use crate::shm::mapping::{Mapping, Shareable};
use crate::shm::topology::Topology;
use std::sync::{Arc, Mutex};

/// What is kept once a communicator.
#[repr(C, align(128))]
struct Header {
    /// The first block that all ranks have given back, and through [`BlockHeader`] the others; 0
    /// for none.
    free: AtomicU64,
    /// Counts arrivals at collective calls; those who wait for others sleep on it.
    arrivals: AtomicU32,
    arrival_sleepers: Sleepers,
    /// Counts the announcements that this node's ranks have written.
    posts: AtomicU64,
    /// Counts the calls for the node's server; it sleeps on it.
    calls: AtomicU32,
    call_sleepers: Sleepers,
}

/// What is kept once a rank.
#[repr(C, align(128))]
pub(crate) struct Member {
    /// The process, and since when it has run, in the kernel's ticks: together they name it for
    /// good.
    pub(crate) process: AtomicU32,
    pub(crate) born: AtomicU64,
    /// 1 if it has registered for heavy fences.
    pub(crate) heeds_fences: AtomicU32,
    /// Where this rank stands in collective calls.
    pub(crate) arrival_slot: ArrivalSlot,
}

/// What is kept on this node of a rank that runs on another.
#[repr(C, align(128))]
pub(crate) struct RemoteMember {
    /// Nonzero once the rank is known to have died.
    pub(crate) dead: AtomicU32,
    /// Where it stands in collective calls.
    pub(crate) arrival_slot: ArrivalSlot,
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for Header {}
// SAFETY: as above.
unsafe impl Shareable for RemoteMember {}
// SAFETY: as above.
unsafe impl Shareable for Member {}

/// Where a block lies: chunk number and offset, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Extent {
    pub(crate) chunk: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

impl Extent {
    /// Never 0, for no block lies at the start of chunk 0.
    fn link(self) -> u64 {
        u64::from(self.chunk) << 32 | u64::from(self.offset)
    }
}

/// The most seats of a node: a lock has 15 bits for a number between one and that.
pub(crate) const MAX_RANKS: usize = (1 << 15) - 2;

/// The first chunk's room for blocks, in bytes; each next chunk has twice as much.
const FIRST_ROOM: usize = 64 << 10;
const LARGEST_ROOM: usize = 16 << 20;

/// The length in words of a rank's stage, through which it passes large values: 64 KiB.
pub(crate) const STAGE_WORDS: usize = (64 << 10) / size_of::<u64>();

pub(crate) struct Segment {
    me: usize,
    shape: Shape,
    first: Arc<Mapping>,
    chunks: Mutex<Vec<Arc<Mapping>>>,
    /// What the leader knows of the room that is left; untouched on the other ranks.
    room: Mutex<Room>,
}

/// For how many a segment has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The ranks of this node and, where the communicator spans nodes, the node's server in the
    /// last seat.
    pub(crate) seats: usize,
    /// The ranks of other nodes.
    pub(crate) remote: usize,
}

impl Shape {
    pub(crate) fn of(topology: &Topology) -> Self {
        Shape {
            seats: topology.local_ranks().len() + usize::from(topology.spans_nodes()),
            remote: topology.remote(),
        }
    }

    /// The seat of the node's server, where there are ranks on other nodes.
    pub(crate) fn seat_of_server(self) -> usize {
        debug_assert!(self.remote > 0, "a server is for several nodes");
        self.seats - 1
    }
}

#[derive(Default)]
struct Room {
    chunk: u32,
    used: usize,
    free: Vec<Extent>,
}

impl Segment {
    /// The length of the first chunk of ranks that share objects.
    pub(crate) fn first_length(shape: Shape) -> usize {
        Self::blocks_at(shape) + FIRST_ROOM
    }

    /// The length of the only chunk of a process alone, with room for one block of that length.
    pub(crate) fn length_for_one(shape: Shape, block: usize) -> usize {
        Self::blocks_at(shape) + block
    }

    fn members_at() -> usize {
        size_of::<Header>()
    }

    fn remote_members_at(shape: Shape) -> usize {
        Self::members_at() + shape.seats * size_of::<Member>()
    }

    fn stages_at(shape: Shape) -> usize {
        Self::remote_members_at(shape) + shape.remote * size_of::<RemoteMember>()
    }

    fn blocks_at(shape: Shape) -> usize {
        Self::stages_at(shape) + shape.seats * Self::stage_words(shape) * size_of::<u64>()
    }

    /// A process alone has nobody to pass values to.
    fn stage_words(shape: Shape) -> usize {
        if shape.seats == 1 { 0 } else { STAGE_WORDS }
    }

    /// A segment whose first chunk is `first`, zeroed and of [`Self::first_length`].
    pub(crate) fn new(first: Mapping, me: usize, shape: Shape) -> Self {
        let first = Arc::new(first);
        Segment {
            me,
            shape,
            chunks: Mutex::new(vec![Arc::clone(&first)]),
            room: Mutex::new(Room {
                used: Self::blocks_at(shape),
                ..Room::default()
            }),
            first,
        }
    }

    pub(crate) fn me(&self) -> usize {
        self.me
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    fn header(&self) -> &Header {
        self.first.get(0)
    }

    /// What is kept for who has this seat.
    pub(crate) fn member(&self, seat: usize) -> &Member {
        &self.first.slice(Self::members_at(), self.shape.seats)[seat]
    }

    /// What is kept here of a rank of another node.
    pub(crate) fn remote_member(&self, index: usize) -> &RemoteMember {
        &self
            .first
            .slice(Self::remote_members_at(self.shape), self.shape.remote)[index]
    }

    /// The words through which the rank in this seat passes large values.
    pub(crate) fn stage(&self, seat: usize) -> &[AtomicU64] {
        assert!(seat < self.shape.seats, "a seat of this node");
        let words = Self::stage_words(self.shape);
        let offset = Self::stages_at(self.shape) + seat * words * size_of::<u64>();
        self.first.slice(offset, words)
    }

    /// Counts an announcement that a rank of this node has written and is about to post; how many
    /// there were before.
    pub(crate) fn count_post(&self) -> u64 {
        // AcqRel: who counts last has all the others' announcements.
        self.header().posts.fetch_add(1, Ordering::AcqRel)
    }

    /// The event of a call for the node's server.
    pub(crate) fn call(&self) -> Event<'_> {
        let header = self.header();
        Event {
            word: &header.calls,
            sleepers: &header.call_sleepers,
        }
    }

    /// The event of an arrival at a collective call.
    pub(crate) fn arrival(&self) -> Event<'_> {
        let header = self.header();
        Event {
            word: &header.arrivals,
            sleepers: &header.arrival_sleepers,
        }
    }

    /// The chunk of this number.
    pub(crate) fn chunk(&self, number: u32) -> Arc<Mapping> {
        let chunks = lock(&self.chunks);
        Arc::clone(&chunks[number as usize])
    }

    /// Adds the next chunk.
    pub(crate) fn add_chunk(&self, chunk: Mapping) {
        let mut chunks = lock(&self.chunks);
        chunks.push(Arc::new(chunk));
    }

    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> u32 {
        let chunks = lock(&self.chunks);
        chunks.len() as u32
    }

    /// Gives the newest chunk's first block, which is clear, for it never was used. Only the leader
    /// asks, after [`Self::add_chunk`].
    pub(crate) fn begin_chunk(&self, length: usize) -> Extent {
        let mut room = lock(&self.room);
        room.chunk = self.chunks() - 1;
        room.used = length;
        Extent {
            chunk: room.chunk,
            offset: 0,
            length: length as u32,
        }
    }

    /// Takes back a block that no rank has used.
    pub(crate) fn take_back(&self, extent: Extent) {
        let mut room = lock(&self.room);
        room.free.push(extent);
    }

    /// Gives a block of `length` bytes, cleared. Only the leader asks. Where there is no room, the
    /// error is the length of the chunk that has to be added first.
    pub(crate) fn allocate(&self, length: usize) -> Result<Extent, usize> {
        let mut room = lock(&self.room);
        self.collect_free(&mut room);
        let fits = |extent: &Extent| extent.length as usize == length;
        if let Some(index) = room.free.iter().rposition(fits) {
            let extent = room.free.swap_remove(index);
            let chunk = self.chunk(extent.chunk);
            let words = length / size_of::<u64>();
            for word in chunk.slice::<AtomicU64>(extent.offset as usize, words) {
                word.store(0, Ordering::Relaxed);
            }
            return Ok(extent);
        }
        let newest = room.chunk;
        if room.used + length > self.chunk(newest).length() {
            let doubled = FIRST_ROOM << newest.saturating_add(1).min(16);
            return Err(doubled.min(LARGEST_ROOM).max(length));
        }
        let extent = Extent {
            chunk: newest,
            offset: room.used as u32,
            length: length as u32,
        };
        room.used += length;
        Ok(extent)
    }

    /// Takes over the blocks that all ranks have given back.
    fn collect_free(&self, room: &mut Room) {
        // Acquire: what the other ranks did with a block is done before it is used again.
        let mut link = self.header().free.swap(0, Ordering::Acquire);
        while link != 0 {
            let (chunk, offset) = ((link >> 32) as u32, link as u32);
            let mapping = self.chunk(chunk);
            let header: &BlockHeader = mapping.get(offset as usize);
            room.free.push(Extent {
                chunk,
                offset,
                length: header.length.load(Ordering::Relaxed),
            });
            link = header.next.load(Ordering::Relaxed);
        }
    }

    /// Gives this rank's share in a block back; the last rank to do so puts it on the list. Only
    /// the leader takes from the list, and always all of it, so a link never changes under who
    /// pushes.
    pub(crate) fn give_back(&self, place: Extent, header: &BlockHeader) {
        // AcqRel: the last rank hands on what all the others did with the block.
        let before = header.given_back.fetch_add(1, Ordering::AcqRel);
        if before as usize + 1 < self.shape.seats {
            return;
        }
        header.length.store(place.length, Ordering::Relaxed);
        let free = &self.header().free;
        let mut first = free.load(Ordering::Relaxed);
        loop {
            header.next.store(first, Ordering::Relaxed);
            match free.compare_exchange_weak(
                first,
                place.link(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Segment {
        let shape = Shape {
            seats: 1,
            remote: 0,
        };
        Segment::new(Mapping::private(Segment::first_length(shape)), 0, shape)
    }

    #[test]
    fn blocks_do_not_overlap_and_grow_into_new_chunks() {
        let segment = segment();
        let mut last = None;
        let mut chunks = 0;
        for _ in 0..5000 {
            let extent = segment.allocate(1024).unwrap_or_else(|length| {
                chunks += 1;
                segment.add_chunk(Mapping::private(length));
                segment.begin_chunk(1024)
            });
            if let Some(Extent { chunk, offset, .. }) = last {
                assert!((extent.chunk, extent.offset) >= (chunk, offset + 1024));
            }
            last = Some(extent);
        }
        assert!((2..20).contains(&chunks), "{chunks} chunks");
    }

    #[test]
    fn a_block_that_was_given_back_is_used_again_and_clear() {
        let segment = segment();
        let extent = segment.allocate(1024).expect("room");
        let chunk = segment.chunk(extent.chunk);
        let word = &chunk.slice::<AtomicU64>(extent.offset as usize, 128)[127];
        word.store(5, Ordering::Relaxed);
        segment.give_back(extent, chunk.get(extent.offset as usize));
        assert_eq!(segment.allocate(1024), Ok(extent));
        assert_eq!(word.load(Ordering::Relaxed), 0);
        assert_ne!(segment.allocate(1024), Ok(extent));
    }
}
