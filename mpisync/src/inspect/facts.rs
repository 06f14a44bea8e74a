//! What a copy of a segment says, and what of it two copies agree on.

use crate::inspect::chunk::Chunks;
use crate::rwlock::outside as lock;
use crate::shm::block::BlockHeader;
use crate::shm::identity::CHUNK_START;
use crate::shm::mapping::{ALIGN, Mapping};
use crate::shm::process::Process;
use crate::shm::segment::{Segment, Shape};
use crate::shm::waiting::record::{Taken, Wait};
use crate::wait_queue::outside as queue;
use std::sync::atomic::Ordering;

/// How often a segment is read anew whose copies differ.
const ATTEMPTS: u32 = 4;

/// A segment.
pub(super) struct Seen {
    /// The number of the communicator, of its ranks, and of its nodes.
    pub(super) number: u64,
    pub(super) size: u32,
    pub(super) nodes: u32,
    pub(super) members: Vec<(MemberFacts, Changing)>,
    pub(super) blocks: Vec<(BlockFacts, Changing)>,
    /// Whether the blocks were not the same in two copies.
    pub(super) changing: bool,
}

/// Whether it was different each time.
pub(super) type Changing = bool;

/// A rank of the node, or its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberFacts {
    /// None for the server, and for a rank that has just begun.
    pub(super) rank: Option<u32>,
    pub(super) process: Process,
    pub(super) namespace: u64,
    /// The number by which records name the process.
    pub(super) number: u64,
    pub(super) has_ended: bool,
    pub(super) wait: Option<Wait>,
    pub(super) taken: Vec<Taken>,
}

/// The memory of an object.
#[derive(Clone, Debug)]
pub(super) struct BlockFacts {
    /// Chunk and offset.
    place: (u32, usize),
    pub(super) length: usize,
    pub(super) given_back: u32,
    pub(super) identity: u64,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) contents: Contents,
    /// How often something has happened.
    pub(super) count: u64,
}

/// All but what changes for ever.
impl PartialEq for BlockFacts {
    fn eq(&self, other: &Self) -> bool {
        let facts = |it: &Self| (it.place, it.length, it.given_back, it.identity);
        facts(self) == facts(other)
            && self.kind == other.kind
            && self.name == other.name
            && self.contents == other.contents
    }
}

/// Who holds an object, and who waits. Ranks of the node are members, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    Unknown,
    Lock {
        writer: Option<usize>,
        has_entered: bool,
        readers: Vec<usize>,
        /// Those that hold parts of a region.
        parts: Vec<usize>,
        waiting: Vec<usize>,
    },
    /// By slot: the members, then the ranks of other nodes.
    Queue {
        free: u32,
        total: u32,
        held: Vec<(usize, u32)>,
        waiting: Vec<usize>,
    },
}

/// A copy of a segment.
struct Facts {
    communicator: (u64, u32, u32),
    members: Vec<MemberFacts>,
    blocks: Vec<BlockFacts>,
}

/// Reads a segment until two copies agree, or for the last time.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn see(chunks: &Chunks) -> Result<Seen, String> {
    let shape = chunks.shape()?;
    let read = || Ok::<_, String>(Facts::of(chunks.copies()?, shape));
    let (mut before, mut last) = (read()?, read()?);
    for _ in 0..ATTEMPTS {
        if last.members == before.members && last.blocks == before.blocks {
            break;
        }
        (before, last) = (last, read()?);
    }
    Ok(Seen::of(before, last))
}

impl Seen {
    fn of(before: Facts, last: Facts) -> Self {
        let (number, size, nodes) = last.communicator;
        let members = last.members.into_iter().zip(before.members);
        let known = |block: &BlockFacts| before.blocks.iter().any(|it| it.place == block.place);
        let changing = last.blocks.len() != before.blocks.len() || !last.blocks.iter().all(known);
        let blocks = last.blocks.into_iter().map(|block| {
            let changing = !before.blocks.contains(&block);
            (block, changing)
        });
        Seen {
            number,
            size,
            nodes,
            members: members
                .map(|(last, before)| {
                    let changing = last != before;
                    (last, changing)
                })
                .collect(),
            blocks: blocks.collect(),
            changing,
        }
    }
}

impl Facts {
    /// The facts of these chunks, the first of which has the length that is right for the shape.
    fn of(chunks: Vec<(u32, Mapping)>, shape: Shape) -> Self {
        let slots = slots(shape);
        let (mut blocks, mut first) = (Vec::new(), None);
        for (number, memory) in chunks {
            let (start, end) = match number {
                0 => (Segment::blocks_at(shape), Segment::first_reserved(shape)),
                _ => (CHUNK_START, memory.length()),
            };
            let mut offset = start;
            while let Some(length) = block_length(&memory, offset, end) {
                let place = (number, offset);
                blocks.extend(BlockFacts::of(&memory, place, length, shape.members, slots));
                offset += length;
            }
            if number == 0 {
                first = Some(memory);
            }
        }
        let Some(first) = first else {
            unreachable!("a shape is that of a first chunk");
        };
        let segment = Segment::new(first.into(), 0, shape);
        let members = (0..shape.members).map(|member| MemberFacts::of(&segment, member));
        Facts {
            communicator: segment.communicator(),
            members: members.collect(),
            blocks,
        }
    }
}

/// The number of slots of a wait queue of all ranks: those of other nodes come after the members.
pub(super) fn slots(shape: Shape) -> usize {
    shape.members + shape.remote
}

/// The length of the block at `offset`; None if there is none, or no plausible one.
fn block_length(memory: &Mapping, offset: usize, end: usize) -> Option<usize> {
    let is_inside = offset + size_of::<BlockHeader>() <= end;
    let header: &BlockHeader = is_inside.then(|| memory.get(offset))?;
    let length = header.length.load(Ordering::Relaxed) as usize;
    let is_plausible = length >= size_of::<BlockHeader>()
        && length.is_multiple_of(ALIGN)
        && length <= end - offset;
    is_plausible.then_some(length)
}

impl MemberFacts {
    fn of(segment: &Segment, member: usize) -> Self {
        let member = segment.member(member);
        MemberFacts {
            rank: member.rank.load(Ordering::Relaxed).checked_sub(1),
            process: Process {
                id: member.process.load(Ordering::Acquire),
                born: member.born.load(Ordering::Relaxed),
            },
            namespace: member.namespace.load(Ordering::Relaxed),
            number: member.wait.process(),
            has_ended: member.ended.load(Ordering::Acquire) != 0,
            wait: member.wait.get(),
            taken: member.wait.taken(),
        }
    }
}

impl BlockFacts {
    /// The object of a block. None if it does not exist, or all ranks have dropped it.
    fn of(
        memory: &Mapping,
        place: (u32, usize),
        length: usize,
        members: usize,
        slots: usize,
    ) -> Option<Self> {
        let header: &BlockHeader = memory.get(place.1);
        let identity = header.identity.load(Ordering::Acquire);
        let given_back = header.given_back.load(Ordering::Relaxed);
        if identity == 0 || given_back as usize >= members {
            return None;
        }
        let start = place.1 + size_of::<BlockHeader>();
        let inside = length - size_of::<BlockHeader>();
        let (contents, count) = match header.reader.load(Ordering::Relaxed) {
            lock::READER => lock::look(memory, start, inside, members).map(Contents::of_lock),
            queue::READER => queue::look(memory, start, inside, slots).map(Contents::of_queue),
            _ => None,
        }
        .unwrap_or((Contents::Unknown, 0));
        Some(BlockFacts {
            place,
            length,
            given_back,
            identity,
            kind: header.kind.get(),
            name: header.name.get(),
            contents,
            count,
        })
    }
}

impl Contents {
    fn of_lock(lock: lock::Lock) -> (Self, u64) {
        let holders = lock.holders;
        let writer = holders.writer;
        let waits = |member: &usize| lock.has_entered || Some(*member) != writer;
        let waiting = holders.waiting_writers.into_iter().filter(waits);
        let contents = Contents::Lock {
            writer,
            has_entered: lock.has_entered,
            readers: holders.readers,
            parts: holders.ranges,
            waiting: waiting.chain(holders.waiting_readers).collect(),
        };
        (contents, lock.openings.into())
    }

    fn of_queue(queue: queue::Queue) -> (Self, u64) {
        let contents = Contents::Queue {
            free: queue.standing.free,
            total: queue.total,
            held: queue.standing.held,
            waiting: queue.standing.waiting,
        };
        (contents, queue.tickets)
    }
}
