use crate::inspect::chunk::{Chunk, Chunks};
use crate::inspect::facts::{Contents, see};
use crate::inspect::{Communicator, Host, RankState, look};
use crate::rwlock::memory::{LockLayout, LockMemory};
use crate::rwlock::node::NodeLock;
use crate::rwlock::outside::READER;
use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::block::{Block, BlockHeader, ObjectName};
use crate::shm::domain::Domain;
use crate::shm::mapping::{Mapping, SharedFile};
use crate::shm::segment::{Segment, Shape};
use crate::shm::topology::Topology;
use crate::shm::wait::Deadline;
use crate::transport::Transport;
use proptest::prelude::*;
use rustix::fd::OwnedFd;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

const RANKS: usize = 3;

/// The memory of a communicator of three ranks on this node, whose rank 0 this process is.
struct Node {
    domain: Arc<Domain>,
    file: Option<SharedFile>,
    number: u64,
}

impl Node {
    fn new() -> Self {
        let topology = Topology::one_node(0, RANKS);
        let shape = Shape::of(&topology);
        let (length, reserved) = (Segment::first_length(shape), Segment::first_reserved(shape));
        let (first, file) = Mapping::create_shared(length, reserved).expect("shared memory");
        let domain = Domain::shared(topology, first, Transport::SharedMemory);
        let number = RandomState::new().hash_one(length);
        domain.set_number(number);
        Node {
            domain: Arc::new(domain),
            file: Some(file),
            number,
        }
    }

    /// Lets other processes find it by the descriptor that a rank keeps, and by no other.
    fn expose(&mut self) {
        self.domain.segment().expose(&self.descriptor());
        self.file = None;
    }

    fn descriptor(&self) -> OwnedFd {
        let file = self.file.as_ref().expect("it is not exposed yet");
        file.descriptor().expect("a descriptor")
    }

    /// A controller of this name.
    fn lock(&self, name: &str) -> Block {
        let topology = self.domain.topology();
        let length = Block::length(&LockLayout::ONE_THREAD, topology);
        let extent = self.domain.segment().allocate(length).expect("room");
        let chunk = self.domain.segment().chunk(extent.chunk);
        Block::prepare(
            &LockLayout::ONE_THREAD,
            topology,
            &chunk,
            extent.offset as usize,
        );
        let name = ObjectName {
            kind: "controller",
            name: name.into(),
        };
        Block::new(Arc::clone(&self.domain), extent, None, name)
    }

    /// What can be seen of it.
    fn seen(&self) -> Option<Communicator> {
        let id = format!("{:016x}", self.number);
        let mut found = look().communicators.into_iter();
        found.find(|communicator| communicator.id == id)
    }

    /// The words of the first chunk.
    fn words(&self) -> Arc<Mapping> {
        self.domain.segment().chunk(0)
    }

    fn chunks(&self) -> Result<Chunks, String> {
        let mut chunks = Chunks::default();
        if let Some(Ok(chunk)) = Chunk::of(self.descriptor().into())? {
            chunks.add(chunk);
        }
        Ok(chunks)
    }
}

fn node_lock(block: &Block) -> NodeLock<LockMemory> {
    NodeLock {
        memory: LockMemory::new(block.first_part()),
    }
}

#[test]
fn locks_and_ranks_are_seen_and_nothing_is_written() {
    let mut node = Node::new();
    node.expose();
    let (read, written) = (node.lock("read"), node.lock("written"));
    let dropped = node.lock("dropped");
    drop(dropped);
    assert!(node_lock(&read).try_read());
    assert!(node_lock(&written).try_write());
    // A rank whose process has died: the number is that of this process, and its birth is not.
    let dead = node.domain.segment().member(1);
    let own = node.domain.process(0);
    dead.rank.store(2, Ordering::Relaxed);
    dead.process.store(own.id, Ordering::Relaxed);
    dead.born.store(own.born + 1, Ordering::Relaxed);
    let own = node
        .domain
        .segment()
        .member(0)
        .namespace
        .load(Ordering::Relaxed);
    dead.namespace.store(own, Ordering::Relaxed);

    let contents = || {
        let memory = node.words();
        let words: &[AtomicU64] = memory.slice(0, memory.length() / size_of::<u64>());
        let words = words.iter().map(|word| word.load(Ordering::Relaxed));
        words.collect::<Vec<_>>()
    };
    let before = contents();
    let seen = node.seen().expect("it is exposed");

    assert_eq!((seen.size, seen.nodes, seen.changing), (3, 1, false));
    let ranks: Vec<_> = seen
        .ranks
        .iter()
        .map(|rank| (rank.rank, rank.state))
        .collect();
    assert_eq!(ranks, [(0, RankState::Alive), (1, RankState::Died)]);
    let names: Vec<_> = seen.objects.iter().map(|object| &*object.name).collect();
    assert_eq!(names, ["read", "written", "dropped"]);
    let holders = |index: usize| {
        let holders = seen.objects[index].holders.iter().flatten();
        let holders = holders.map(|holder| (holder.rank, &*holder.role));
        holders.collect::<Vec<_>>()
    };
    assert_eq!(holders(0), [(Some(0), "reads")]);
    assert_eq!(holders(1), [(Some(0), "writes")]);
    assert_eq!(holders(2), []);
    assert_eq!(seen.objects[2].dropped_by, 1);

    assert!(before == contents(), "the memory has changed");
}

#[test]
fn memory_without_a_descriptor_is_not_seen() {
    let mut node = Node::new();
    node.file = None;
    assert!(node.seen().is_none());
}

/// What is said of the memory of this process.
fn reasons(host: &Host) -> Vec<&str> {
    let own = host.unreadable.iter();
    let own = own.filter(|it| it.process == std::process::id());
    own.map(|it| &*it.reason).collect()
}

#[test]
fn memory_of_another_version_is_named_and_not_read() {
    let mut node = Node::new();
    node.lock("a");
    node.expose();
    // The length of the version, and the version.
    let words = node.words();
    let version: &[AtomicU64] = words.slice(16, 2);
    version[0].store(5, Ordering::Relaxed);
    version[1].store(u64::from_ne_bytes(*b"9.8.7\0\0\0"), Ordering::Relaxed);
    assert!(node.seen().is_none());
    let host = look();
    let reasons = reasons(&host);
    let expected = format!(
        "its memory is that of mpisync 9.8.7, and this is {}",
        env!("CARGO_PKG_VERSION")
    );
    assert!(
        reasons.iter().any(|it| it.starts_with(&expected)),
        "{reasons:?}"
    );
}

#[test]
fn another_layout_of_the_same_version_is_not_read() {
    let node = Node::new();
    let words = node.words();
    words.get::<AtomicU64>(8).fetch_add(1, Ordering::Relaxed);
    let Ok(Some(Err(other))) = Chunk::of(node.descriptor().into()) else {
        panic!("it is read");
    };
    assert!(other.0.ends_with(", built differently"), "{other:?}");
}

#[test]
fn a_length_that_is_wrong_is_damage() {
    let node = Node::new();
    // The number of members, beside that of the chunk.
    let words = node.words();
    words
        .get::<AtomicU64>(56)
        .fetch_add(1 << 32, Ordering::Relaxed);
    let error = see(&node.chunks().expect("a chunk")).err();
    assert!(error.is_some_and(|error| error.ends_with("it is damaged")));
    let none = see(&Chunks::default()).err();
    assert!(none.is_some_and(|error| error.contains("have no descriptor of it")));
}

#[test]
fn a_block_that_ends_behind_the_blocks_is_not_read() {
    let node = Node::new();
    let shape = Shape::of(node.domain.topology());
    let (start, end) = (Segment::blocks_at(shape), Segment::first_reserved(shape));
    let memory = node.words();
    let last = end - size_of::<BlockHeader>();
    for (offset, length) in [(start, last - start), (last, 4096)] {
        let header: &BlockHeader = memory.get(offset);
        header.length.store(length as u32, Ordering::Relaxed);
        header.reader.store(READER, Ordering::Relaxed);
        header.identity.store(1, Ordering::Relaxed);
    }
    let seen = see(&node.chunks().expect("a chunk")).expect("it is whole");
    assert_eq!(seen.blocks.len(), 1);
}

#[test]
fn a_lock_that_changes_is_seen_by_turns() {
    let node = Node::new();
    let block = node.lock("busy");
    let chunks = node.chunks().expect("a chunk");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let lock = node_lock(&block);
            while !is_over.load(Ordering::Relaxed) {
                lock.write(|| Deadline::NEVER).expect("nobody else has it");
                lock.unlock_write();
            }
        });
        for _ in 0..200 {
            let seen = see(&chunks).expect("it is whole");
            let [(block, _)] = &seen.blocks[..] else {
                panic!("one block");
            };
            let Contents::Lock {
                writer, readers, ..
            } = &block.contents
            else {
                panic!("a lock");
            };
            assert!(matches!(writer, None | Some(0)) && readers.is_empty());
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the memory contains, it is read to an end, and each number stays in its bounds.
    #[test]
    fn any_contents_are_read(words in prop::collection::vec((any::<u16>(), any::<u64>()), 1..400)) {
        let node = Node::new();
        node.lock("a");
        let memory = node.words();
        let length = Segment::first_reserved(Shape::of(node.domain.topology())) / 8;
        // The identity stays.
        let cells: &[AtomicU64] = memory.slice(128, length - 16);
        for (index, word) in words {
            let index = index as usize * 7 % cells.len();
            cells[index].store(word, Ordering::Relaxed);
        }
        let seen = see(&node.chunks().expect("a chunk")).expect("it is whole");
        let text = format!("{:?}", super::communicators(&[seen]));
        prop_assert!(text.contains("Communicator"));
    }
}
