//! The memory of a table: its words, where they lie, and how a rank reaches them.

use crate::shm::atomic::{AtomicU8, AtomicU32, AtomicU64, MODELLED, Ordering};
use crate::shm::domain::Domain;
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::{ALIGN, Mapping, Shareable};
use crate::shm::topology::Topology;
use std::ops::Range;
use std::sync::Arc;

/// The words that all ranks share. Initially all zero: no task has been offered again.
#[repr(C, align(128))]
pub(crate) struct TableWords {
    /// For tasks that run elsewhere, that failed and that are done: the next task to offer again. A
    /// rank increments it before it looks at the task.
    pub(crate) offered_again: [AtomicU64; 3],
    /// Why no more tasks are taken, or 0.
    pub(crate) stopped: AtomicU64,
}

/// The most tasks that a rank has at a time. The model checker is slow with many atomics.
pub(crate) const MOST_AT_ONCE: usize = if MODELLED { 2 } else { 256 };

/// The tasks that a rank has. Stored by that rank, or by the server that acts for it; the names are
/// cleared also by those who find that the rank has died or is late.
#[repr(C)]
pub(crate) struct Holder {
    /// When it took tasks last, in nanoseconds of the [clock](crate::shm::clock) of the table's node;
    /// stored before their names, and only if tasks have a time limit.
    pub(crate) since: AtomicU64,
    /// How many of the names may be other than 0, counted from the first; stored before these.
    used: AtomicU32,
    /// The numbers of the tasks that it has, or is about to take, plus one; 0 for none.
    pub(crate) names: [AtomicU32; MOST_AT_ONCE],
}

impl Default for Holder {
    fn default() -> Self {
        Holder {
            since: AtomicU64::new(0),
            used: AtomicU32::new(0),
            names: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Holder {
    /// Says at this place that the rank has a task, or is about to take it.
    #[inline]
    pub(crate) fn name(&self, place: usize, task: usize) {
        if self.used.load(Ordering::Relaxed) <= place as u32 {
            self.used.store(place as u32 + 1, Ordering::SeqCst);
        }
        // A table has fewer tasks than that.
        self.names[place].store(task as u32 + 1, Ordering::SeqCst);
    }

    /// Says that the rank has no task that is named at this place.
    #[inline]
    pub(crate) fn clear(&self, place: usize) {
        self.names[place].store(0, Ordering::SeqCst);
    }

    /// Says that the rank has no task, if it had several, so that others look at few names again.
    #[inline]
    pub(crate) fn reset(&self) {
        if self.used.load(Ordering::Relaxed) > 1 {
            self.named().for_each(|(place, _)| self.clear(place));
            self.used.store(0, Ordering::SeqCst);
        }
    }

    /// The places with a name, and these names.
    pub(crate) fn named(&self) -> impl Iterator<Item = (usize, u32)> {
        let used = (self.used.load(Ordering::SeqCst) as usize).min(MOST_AT_ONCE);
        let names = self.names[..used].iter().enumerate();
        names
            .map(|(place, name)| (place, name.load(Ordering::SeqCst)))
            .filter(|(_, name)| *name != 0)
    }
}

/// The status of a task.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) enum TaskStatus {
    /// No rank has taken it.
    Open = 0,
    /// It runs in another job, or did when that job ended.
    Elsewhere = 1,
    Done = 2,
    Failed = 3,
    /// It cannot be run, because its state is unknown.
    Invalid = 4,
    /// A rank of this batch runs it.
    Taken = 5,
}

impl TaskStatus {
    pub(crate) const ALL: [TaskStatus; 6] = [
        TaskStatus::Open,
        TaskStatus::Elsewhere,
        TaskStatus::Done,
        TaskStatus::Failed,
        TaskStatus::Invalid,
        TaskStatus::Taken,
    ];
}

/// A task's byte: its [`TaskStatus`] (bits 0 to 2) and how often it was taken (bits 3 to 7; after
/// 31 it continues at 1). The count lets a compare-and-swap tell one taking from an earlier one.
/// Zero is an open task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct TaskByte(pub(crate) u8);

impl TaskByte {
    const STATUS: u8 = 0b111;
    const ONE_TAKING: u8 = 0b1000;
    /// The most takings that are told apart.
    pub(crate) const MOST: u32 = 31;
    const MOST_TAKINGS: u8 = Self::MOST as u8 * Self::ONE_TAKING;

    #[inline]
    pub(crate) fn status(self) -> TaskStatus {
        // No rank stores another number.
        let number = usize::from(self.0 & Self::STATUS);
        TaskStatus::ALL
            .get(number)
            .copied()
            .unwrap_or(TaskStatus::Invalid)
    }

    /// The byte with this status.
    #[inline]
    pub(crate) fn with(self, status: TaskStatus) -> Self {
        TaskByte(self.0 & !Self::STATUS | status as u8)
    }

    /// The byte of the task after it is taken.
    #[inline]
    pub(crate) fn taken(self) -> Self {
        let before = if self.0 >= Self::MOST_TAKINGS {
            0
        } else {
            self.0
        };
        TaskByte(before.wrapping_add(Self::ONE_TAKING)).with(TaskStatus::Taken)
    }

    /// How often it was taken, up to [`MOST`](Self::MOST).
    pub(crate) fn takings(self) -> u32 {
        u32::from(self.0 / Self::ONE_TAKING)
    }

    /// Whether it has never been taken.
    #[inline]
    pub(crate) fn is_untouched(self) -> bool {
        self.0 < Self::ONE_TAKING
    }
}

/// A word of the index with no open task below it.
pub(crate) const CLOSED: u64 = u64::MAX;

/// The number of words in each level of the index, from the tasks' own bits upwards.
pub(crate) fn level_lengths(tasks: usize) -> impl Iterator<Item = usize> {
    let first = tasks.div_ceil(64).max(1);
    std::iter::successors(Some(first), |&length| {
        (length > 1).then(|| length.div_ceil(64))
    })
}

/// Closes the unused bits at the end of a level that has `below` bits in use. Only before the table
/// is shared.
pub(crate) fn close_rest(level: &[AtomicU64], below: usize) {
    let last = &level[level.len() - 1];
    let used = below - (level.len() - 1) * 64;
    if used < 64 {
        last.store(CLOSED << used, Ordering::SeqCst);
    }
}

/// The words of a table, as one rank sees them.
pub(crate) trait TableMemory {
    /// The words that all ranks share.
    fn words(&self) -> &TableWords;

    /// The tasks' bytes.
    fn bytes(&self) -> &[AtomicU8];

    /// The number of tasks.
    fn tasks(&self) -> usize {
        self.bytes().len()
    }

    /// The number of levels of the index.
    fn levels(&self) -> usize;

    /// A level of the index, from the tasks' own bits upwards.
    fn level(&self, level: usize) -> &[AtomicU64];

    /// The tasks that a rank of the communicator has.
    fn holder(&self, rank: usize) -> &Holder;

    /// The number of ranks.
    fn ranks(&self) -> usize;

    /// Whether a rank of the communicator is alive and has not ended.
    fn is_alive(&self, rank: usize) -> bool;
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for TableWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<Holder> {}
// SAFETY: as above.
unsafe impl Shareable for AtomicU8 {}

/// Where the parts of a table lie: the shared words, a line for each rank of the communicator, the
/// levels of the index, the tasks' bytes.
#[derive(Clone, Debug)]
struct Offsets {
    ranks: usize,
    /// The bytes of each level of the index.
    levels: Vec<Range<usize>>,
    tasks: Range<usize>,
}

const HOLDERS_AT: usize = size_of::<TableWords>();

impl Offsets {
    fn new(topology: &Topology, tasks: usize) -> Self {
        let ranks = topology.size();
        let mut end = HOLDERS_AT + ranks * size_of::<Line<Holder>>();
        let mut reserve = |length: usize| {
            let start = end;
            end += length.next_multiple_of(ALIGN);
            start..start + length
        };
        Offsets {
            ranks,
            levels: level_lengths(tasks)
                .map(|words| reserve(words * size_of::<AtomicU64>()))
                .collect(),
            tasks: reserve(tasks),
        }
    }

    fn level<'a>(&self, chunk: &'a Mapping, start: usize, level: usize) -> &'a [AtomicU64] {
        let bytes = &self.levels[level];
        chunk.slice(start + bytes.start, bytes.len() / size_of::<AtomicU64>())
    }
}

/// The layout of a table, which lies on the node of `root`.
pub(crate) struct TableLayout {
    pub(crate) root: i32,
    pub(crate) tasks: usize,
}

impl Layout for TableLayout {
    fn length(&self, topology: &Topology) -> usize {
        if !topology.has_local(self.root) {
            return 0;
        }
        let offsets = Offsets::new(topology, self.tasks);
        offsets.tasks.end.next_multiple_of(ALIGN)
    }

    /// All tasks are open.
    fn prepare(&self, topology: &Topology, memory: &Mapping, start: usize) {
        if !topology.has_local(self.root) {
            return;
        }
        let offsets = Offsets::new(topology, self.tasks);
        let mut below = self.tasks;
        for level in 0..offsets.levels.len() {
            let words = offsets.level(memory, start, level);
            close_rest(words, below);
            below = words.len();
        }
    }
}

/// A table on this node.
pub(crate) struct SharedTable {
    offsets: Offsets,
    chunk: Arc<Mapping>,
    start: usize,
    domain: Arc<Domain>,
}

impl SharedTable {
    /// The table of this many tasks in that part of an object's memory.
    pub(crate) fn new(part: Part<'_>, tasks: usize) -> Self {
        let domain = part.block.domain();
        SharedTable {
            offsets: Offsets::new(domain.topology(), tasks),
            chunk: Arc::clone(part.memory()),
            start: part.start(),
            domain: Arc::clone(domain),
        }
    }
}

impl TableMemory for SharedTable {
    #[inline]
    fn words(&self) -> &TableWords {
        self.chunk.get(self.start)
    }

    #[inline]
    fn bytes(&self) -> &[AtomicU8] {
        let bytes = &self.offsets.tasks;
        self.chunk.slice(self.start + bytes.start, bytes.len())
    }

    #[inline]
    fn levels(&self) -> usize {
        self.offsets.levels.len()
    }

    #[inline]
    fn level(&self, level: usize) -> &[AtomicU64] {
        self.offsets.level(&self.chunk, self.start, level)
    }

    #[inline]
    fn holder(&self, rank: usize) -> &Holder {
        let start = self.start + HOLDERS_AT;
        let holders: &[Line<Holder>] = self.chunk.slice(start, self.offsets.ranks);
        &holders[rank].0
    }

    fn ranks(&self) -> usize {
        self.offsets.ranks
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.domain.departure(rank).is_none()
    }
}
