//! The memory that one communicator's ranks share on this node: the data of the communicator, and
//! blocks for objects.
//!
//! The segment begins as one chunk and grows by further chunks, so that ten thousand objects need
//! few shared mappings. The leader (rank 0 of the node) chooses the block of an object and tells
//! the others while the object is made. Giving a block back is local: each rank increments a
//! counter, and the last rank puts the block on a free list, from which the leader allocates.

use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::block::BlockHeader;
use crate::shm::event::Event;
use crate::shm::exposed::Exposed;
use crate::shm::identity::CHUNK_START;
use crate::shm::lock;
use crate::shm::mapping::Mapping;
use crate::shm::members::{Header, Member, RemoteMember};
use crate::shm::survivors::Position;
use crate::shm::topology::Topology;
use crate::shm::waiting::news::NewsWords;
use crate::shm::waiting::record::WaitRecord;
use crate::shm::waiting::records;
use rustix::fd::OwnedFd;
use std::sync::{Arc, Mutex};

/// The position of a block, chunk number and offset, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Extent {
    pub(crate) chunk: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

impl Extent {
    /// Never 0: there is no block at the start of chunk 0.
    fn link(self) -> u64 {
        u64::from(self.chunk) << 32 | u64::from(self.offset)
    }
}

/// The most ranks of a node: a lock has 15 bits for a number from one to this.
pub(crate) const MAX_RANKS: usize = (1 << 15) - 2;

/// The space for blocks in the first chunk, in bytes; each further chunk has twice as much.
const FIRST_ROOM: usize = 64 << 10;
const LARGEST_ROOM: usize = 16 << 20;

/// The length in words of a rank's staging buffer for large values: 64 KiB.
pub(crate) const STAGE_WORDS: usize = (64 << 10) / size_of::<u64>();

pub(crate) struct Segment {
    me: usize,
    shape: Shape,
    first: Arc<Mapping>,
    chunks: Mutex<Vec<Arc<Mapping>>>,
    /// The files of the chunks, for processes that look at them from outside.
    exposed: Mutex<Vec<Exposed>>,
    /// The free space, which only the leader uses.
    room: Mutex<Room>,
    /// Whether this rank's staging buffer has been allocated.
    has_stage: Mutex<bool>,
}

/// The number of ranks that a segment is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The ranks of this node and, if the communicator spans nodes, the node's server, which comes
    /// last.
    pub(crate) members: usize,
    /// The ranks of other nodes.
    pub(crate) remote: usize,
}

impl Shape {
    pub(crate) fn of(topology: &Topology) -> Self {
        Shape {
            members: topology.local_ranks().len() + usize::from(topology.spans_nodes()),
            remote: topology.remote(),
        }
    }

    /// The number of the node's server, if there are ranks on other nodes.
    pub(crate) fn local_rank_of_server(self) -> usize {
        debug_assert!(self.remote > 0, "a server is for several nodes");
        self.members - 1
    }
}

#[derive(Default)]
struct Room {
    /// The newest chunk, and which part of it blocks use and may use.
    chunk: u32,
    used: usize,
    end: usize,
    free: Vec<Extent>,
}

impl Segment {
    /// The length of the first chunk of a communicator.
    pub(crate) fn first_length(shape: Shape) -> usize {
        Self::first_reserved(shape) + shape.members * Self::stage_words(shape) * size_of::<u64>()
    }

    /// The length of the part of it that is allocated at once: all but the staging buffers, which
    /// most ranks never use.
    pub(crate) fn first_reserved(shape: Shape) -> usize {
        Self::blocks_at(shape) + FIRST_ROOM
    }

    /// The length of the only chunk of a single process, with space for one block of this length.
    pub(crate) fn length_for_one(shape: Shape, block: usize) -> usize {
        Self::blocks_at(shape) + block
    }

    fn members_at() -> usize {
        size_of::<Header>()
    }

    fn remote_members_at(shape: Shape) -> usize {
        Self::members_at() + shape.members * size_of::<Member>()
    }

    /// Where the news of other hosts are, if there are any.
    fn news_at(shape: Shape) -> Option<usize> {
        (shape.remote > 0).then(|| Self::blocks_at(shape) - size_of::<NewsWords>())
    }

    /// Where the blocks begin in the first chunk.
    pub(crate) fn blocks_at(shape: Shape) -> usize {
        let news = usize::from(shape.remote > 0) * size_of::<NewsWords>();
        Self::remote_members_at(shape) + shape.remote * size_of::<RemoteMember>() + news
    }

    /// A single process shares no values.
    fn stage_words(shape: Shape) -> usize {
        if shape.members == 1 { 0 } else { STAGE_WORDS }
    }

    /// A segment whose first chunk is `first`, zeroed and of [`Self::first_length`].
    pub(crate) fn new(first: Arc<Mapping>, me: usize, shape: Shape) -> Self {
        Segment {
            me,
            shape,
            chunks: Mutex::new(vec![Arc::clone(&first)]),
            exposed: Mutex::default(),
            room: Mutex::new(Room {
                used: Self::blocks_at(shape),
                end: first.length() - shape.members * Self::stage_words(shape) * size_of::<u64>(),
                ..Room::default()
            }),
            has_stage: Mutex::new(false),
            first,
        }
    }

    pub(crate) fn me(&self) -> usize {
        self.me
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn header(&self) -> &Header {
        self.first.get(0)
    }

    /// The data of the rank, or server, with this number.
    pub(crate) fn member(&self, local_rank: usize) -> &Member {
        &self.first.slice(Self::members_at(), self.shape.members)[local_rank]
    }

    /// Where the calls of this rank that wait are recorded.
    pub(crate) fn my_wait(&self) -> &WaitRecord {
        &self.member(self.me).wait
    }

    /// From now on calls of this process, or of the thread with this number, are recorded here if they
    /// wait. `ranks` are those of this node.
    pub(crate) fn record_waits(&self, ranks: &[u32], thread: Option<u64>) {
        let news = Self::news_at(self.shape);
        let members = Self::members_at();
        records::register(&self.first, members, self.me, ranks, thread, news);
    }

    /// The news of other hosts, if there are any.
    pub(crate) fn news(&self) -> Option<&NewsWords> {
        Self::news_at(self.shape).map(|news| self.first.get(news))
    }

    /// The data of a rank on another node.
    pub(crate) fn remote_member(&self, index: usize) -> &RemoteMember {
        &self
            .first
            .slice(Self::remote_members_at(self.shape), self.shape.remote)[index]
    }

    /// The staging buffer for large values of the rank with this number.
    pub(crate) fn stage(&self, local_rank: usize) -> &[AtomicU64] {
        let words = Self::stage_words(self.shape);
        self.first.slice(self.stage_at(local_rank), words)
    }

    fn stage_at(&self, local_rank: usize) -> usize {
        assert!(local_rank < self.shape.members, "a local rank of this node");
        // The last part of the first chunk.
        let after = (self.shape.members - local_rank) * Self::stage_words(self.shape);
        self.first.length() - after * size_of::<u64>()
    }

    /// Allocates the memory of this rank's staging buffer, before its first use.
    ///
    /// # Errors
    /// `ENOSPC` when `/dev/shm` is full.
    pub(crate) fn allocate_stage(&self) -> std::io::Result<()> {
        let mut has_stage = lock(&self.has_stage);
        if !*has_stage {
            let length = Self::stage_words(self.shape) * size_of::<u64>();
            // SAFETY: only this rank fills its buffer, and not before it has allocated it here, once; the other ranks read
            // it after that.
            unsafe { self.first.populate(self.stage_at(self.me), length)? };
            *has_stage = true;
        }
        Ok(())
    }

    /// Counts that this rank begins to make an object.
    pub(crate) fn begin_creation(&self) {
        records::note_thread();
        self.member(self.me)
            .creations
            .fetch_add(1, Ordering::Relaxed);
    }

    /// How many objects a rank of this node has begun to make.
    pub(crate) fn creations(&self, local_rank: usize) -> u64 {
        self.member(local_rank).creations.load(Ordering::Relaxed)
    }

    /// Posts this rank's verdict on the object that it makes.
    pub(crate) fn post_verdict(&self, value: i32) {
        let number = self.creations(self.me);
        let verdict = number << 32 | u64::from(value as u32);
        // Release: the ranks that read it see what this rank has done before.
        self.member(self.me).verdicts[(number % 2) as usize].store(verdict, Ordering::Release);
    }

    /// The smallest verdict on the object that this rank makes, once all ranks of the node have
    /// posted theirs. A rank is at most one object ahead of the others, because it needs the verdicts
    /// of all, so two words a rank are enough.
    pub(crate) fn smallest_verdict(&self) -> Option<i32> {
        let number = self.creations(self.me);
        let verdict = |local_rank| {
            let verdicts = &self.member(local_rank).verdicts;
            let verdict = verdicts[(number % 2) as usize].load(Ordering::Acquire);
            (verdict >> 32 == number & u64::from(u32::MAX)).then_some(verdict as u32 as i32)
        };
        (0..self.shape.members).try_fold(i32::MAX, |least, rank| Some(least.min(verdict(rank)?)))
    }

    /// Notes that this rank has given up making an object: no more can be made.
    pub(crate) fn give_up_creations(&self) {
        let (gave_up, mine) = (&self.header().gave_up, self.me as u32 + 1);
        // The first one stays.
        let _ = gave_up.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The last step of an agreement on the ranks that are left for which there is a decision.
    pub(crate) fn decided(&self) -> &AtomicU64 {
        &self.header().decided
    }

    /// The position that this decision names.
    pub(super) fn resumed(&self) -> Position {
        let header = self.header();
        Position {
            meetings: header.resumed_meetings.load(Ordering::Relaxed),
            epoch: header.resumed_epoch.load(Ordering::Relaxed),
        }
    }

    /// Sets the position that the next decision names.
    pub(super) fn set_resumed(&self, position: Position) {
        let header = self.header();
        (header.resumed_meetings).store(position.meetings, Ordering::Relaxed);
        header
            .resumed_epoch
            .store(position.epoch, Ordering::Relaxed);
    }

    /// The local rank that was the first to give up making an object.
    pub(crate) fn gave_up_creations(&self) -> Option<usize> {
        let gave_up = self.header().gave_up.load(Ordering::Relaxed);
        (gave_up as usize).checked_sub(1)
    }

    /// Records that the host of this leader is lost. Returns false if one was lost before, which
    /// stays.
    pub(crate) fn lose(&self, leader: u32, is_silent: bool) -> bool {
        let word = (leader + 1) << 1 | u32::from(is_silent);
        let lost = &self.header().lost;
        let lost = lost.compare_exchange(0, word, Ordering::AcqRel, Ordering::Relaxed);
        lost.is_ok()
    }

    /// The leader of the host that is lost, and whether it was silent.
    pub(crate) fn lost(&self) -> Option<(u32, bool)> {
        let word = self.header().lost.load(Ordering::Acquire);
        let leader = (word >> 1).checked_sub(1)?;
        Some((leader, word & 1 != 0))
    }

    /// As the leader's thread: shows that it runs.
    pub(crate) fn show_beat(&self) {
        self.header().beat.fetch_add(1, Ordering::Relaxed);
    }

    /// What [`show_beat`](Self::show_beat) changes; 0 before its first call.
    pub(crate) fn beat(&self) -> u32 {
        self.header().beat.load(Ordering::Relaxed)
    }

    /// Counts an announcement that a rank of this node has written and is about to post. Returns
    /// how many there were before.
    pub(crate) fn count_post(&self) -> u64 {
        // AcqRel: the rank that counts last sees the announcements of all others.
        self.header().posts.fetch_add(1, Ordering::AcqRel)
    }

    /// Counts announcements from zero; no rank of this node posts one meanwhile.
    pub(super) fn reset_posts(&self) {
        self.header().posts.store(0, Ordering::Release);
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

    /// Lets other processes of the user find a chunk by this file of it.
    pub(crate) fn expose(&self, file: &OwnedFd) {
        lock(&self.exposed).extend(Exposed::new(file));
    }

    /// The number of chunks.
    pub(crate) fn chunks(&self) -> u32 {
        let chunks = lock(&self.chunks);
        chunks.len() as u32
    }

    /// Allocates the first block of the newest chunk, which is zero because it was never used.
    /// Called by the leader after [`Self::add_chunk`].
    pub(crate) fn begin_chunk(&self, length: usize) -> Extent {
        let mut room = lock(&self.room);
        room.chunk = self.chunks() - 1;
        room.used = CHUNK_START + length;
        let chunk = self.chunk(room.chunk);
        room.end = chunk.length();
        BlockHeader::begin(&chunk, CHUNK_START, length);
        Extent {
            chunk: room.chunk,
            offset: CHUNK_START as u32,
            length: length as u32,
        }
    }

    /// Frees a block that no rank has used.
    pub(crate) fn take_back(&self, extent: Extent) {
        let mut room = lock(&self.room);
        room.free.push(extent);
    }

    /// Allocates a zeroed block of `length` bytes. Called by the leader only. If there is no space,
    /// the error is the length of the chunk that has to be added first.
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
            BlockHeader::begin(&chunk, extent.offset as usize, length);
            return Ok(extent);
        }
        let newest = room.chunk;
        if room.used + length > room.end {
            let doubled = FIRST_ROOM << newest.saturating_add(1).min(16);
            return Err(doubled.min(LARGEST_ROOM).max(CHUNK_START + length));
        }
        let extent = Extent {
            chunk: newest,
            offset: room.used as u32,
            length: length as u32,
        };
        room.used += length;
        let chunk = self.chunk(newest);
        BlockHeader::begin(&chunk, extent.offset as usize, length);
        Ok(extent)
    }

    /// Collects the blocks that all ranks have given back.
    fn collect_free(&self, room: &mut Room) {
        // Acquire: all accesses of the other ranks to a block come before its next use.
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

    /// Gives this rank's share in a block back; the last rank puts the block on the free list. Only
    /// the leader takes from the list, and always all of it, so there is no ABA problem.
    pub(crate) fn give_back(&self, place: Extent, header: &BlockHeader) {
        // AcqRel: the last rank passes on the accesses of all others to the block.
        let before = header.given_back.fetch_add(1, Ordering::AcqRel);
        if before as usize + 1 < self.shape.members {
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
