//! The memory of one object on a node.

use crate::error::ObjectCall;
use crate::location::Place;
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::cells::Text;
use crate::shm::domain::Domain;
use crate::shm::layout::Layout;
use crate::shm::mapping::{Mapping, Shareable};
use crate::shm::segment::Extent;
use crate::shm::topology::Topology;
use crate::shm::wait::{Stop, Surroundings};
use crate::shm::waiting::want::GlobalId;
use crate::shm::waiting::{Awaited, Described, Label};
use crate::span::{About, Activity};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// The beginning of a block: for its return to the segment, and for processes that look at it from
/// outside.
#[repr(C, align(128))]
pub(crate) struct BlockHeader {
    /// The number of ranks that have given the block back.
    pub(crate) given_back: AtomicU32,
    /// Its length. Never 0 again, so that the next block is found.
    pub(crate) length: AtomicU32,
    /// After all have given it back: the next block of the free list.
    pub(crate) next: AtomicU64,
    /// [`Label::identity`] of the object; 0 until it exists. Stored after what follows.
    pub(crate) identity: AtomicU64,
    /// [`Layout::reader`].
    pub(crate) reader: AtomicU32,
    pub(crate) kind: Text<2>,
    pub(crate) name: Text<6>,
}

impl BlockHeader {
    /// As the leader: begins a block of this length in zeroed memory.
    pub(super) fn begin(chunk: &Mapping, offset: usize, length: usize) {
        let header: &BlockHeader = chunk.get(offset);
        header.length.store(length as u32, Ordering::Relaxed);
    }

    /// As the leader: says what the block is, once the object exists.
    pub(super) fn describe(&self, label: Label<'_>) {
        self.kind.set(label.kind);
        self.name.set(label.name);
        self.identity.store(label.identity, Ordering::Release);
    }

    /// As the leader: the object does not exist any more.
    pub(super) fn forget(&self) {
        self.identity.store(0, Ordering::Relaxed);
    }
}

// The model's words are larger.
#[cfg(not(loom))]
const _: () = assert!(size_of::<BlockHeader>() == 128, "one line");

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for BlockHeader {}

/// What an object is called in messages.
#[derive(Clone, Debug)]
pub(crate) struct ObjectName {
    /// Its kind, such as `mutex`.
    pub(crate) kind: &'static str,
    pub(crate) name: Arc<str>,
}

impl ObjectName {
    /// The call `name` that a rank makes on the object.
    pub(crate) fn call(&self, name: &str, place: Place) -> ObjectCall {
        let object = (*self.name).to_owned();
        ObjectCall::new(name.to_owned(), self.kind.to_owned(), object, place)
    }
}

/// The block of one object, as this rank sees it. Dropping it gives this rank's share back and
/// sends no message.
pub(crate) struct Block {
    me: usize,
    number: Option<u64>,
    name: ObjectName,
    extent: Extent,
    chunk: Arc<Mapping>,
    domain: Arc<Domain>,
}

impl Block {
    /// The length of the block of an object with this layout.
    pub(crate) fn length(layout: &(impl Layout + ?Sized), topology: &Topology) -> usize {
        size_of::<BlockHeader>() + layout.length(topology)
    }

    /// Initializes the block at `start` in `memory`, which is zero from there on, before any rank
    /// uses it.
    pub(crate) fn prepare(
        layout: &(impl Layout + ?Sized),
        topology: &Topology,
        memory: &Mapping,
        start: usize,
    ) {
        let header: &BlockHeader = memory.get(start);
        header.reader.store(layout.reader(), Ordering::Relaxed);
        layout.prepare(topology, memory, start + size_of::<BlockHeader>());
    }

    /// This rank's view of the block at `extent`. An object that spans nodes has a number.
    pub(crate) fn new(
        domain: Arc<Domain>,
        extent: Extent,
        number: Option<u64>,
        name: ObjectName,
    ) -> Self {
        let local_rank = domain.segment().me();
        let block = Self::at_local_rank(domain, extent, number, name, local_rank);
        if local_rank == 0 {
            let header: &BlockHeader = block.chunk.get(extent.offset as usize);
            header.describe(block.label());
        }
        block
    }

    /// The view of the node's server.
    pub(crate) fn for_server(
        domain: Arc<Domain>,
        extent: Extent,
        number: u64,
        name: ObjectName,
    ) -> Self {
        let local_rank = domain.segment().shape().local_rank_of_server();
        Self::at_local_rank(domain, extent, Some(number), name, local_rank)
    }

    fn at_local_rank(
        domain: Arc<Domain>,
        extent: Extent,
        number: Option<u64>,
        name: ObjectName,
        me: usize,
    ) -> Self {
        Block {
            me,
            number,
            name,
            extent,
            chunk: domain.segment().chunk(extent.chunk),
            domain,
        }
    }

    /// The domain of the object's communicator.
    #[inline]
    pub(crate) fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// The local rank of this process, or the number of the server.
    pub(crate) fn me(&self) -> usize {
        self.me
    }

    /// The number of ranks of the node; the server's number comes after them.
    pub(crate) fn local_size(&self) -> usize {
        self.domain.topology().local_ranks().len()
    }

    /// Identifies the object within the communicator; the same on all ranks.
    pub(crate) fn identity(&self) -> u64 {
        let place = u64::from(self.extent.chunk) << 32 | u64::from(self.extent.offset);
        self.number.unwrap_or(place)
    }

    /// Identifies the object on all hosts, if it spans several.
    pub(crate) fn global(&self) -> Option<GlobalId> {
        Some(GlobalId {
            communicator: self.domain.number()?,
            object: self.number?,
        })
    }

    /// The name of the object.
    pub(crate) fn name(&self) -> &str {
        &self.name.name
    }

    /// What the object is called in messages.
    pub(crate) fn object_name(&self) -> &ObjectName {
        &self.name
    }

    /// What the object is called in reports.
    pub(crate) fn label(&self) -> Label<'_> {
        Label {
            kind: self.name.kind,
            name: &self.name.name,
            // Not 0, even for the first object.
            identity: self.identity() + 1,
        }
    }

    /// What a span says of what this rank does in a `call`.
    pub(crate) fn about<'a>(
        &'a self,
        activity: Activity,
        call: &'a str,
        location: Option<&'static Location<'static>>,
    ) -> About<'a> {
        let place = location.map(|place| (place.file(), place.line()));
        self.domain.about(activity, self.label(), call, place)
    }

    /// What a span says of this rank, which holds the object in some way since a call at `location`.
    pub(crate) fn holds(
        &self,
        activity: Activity,
        location: Option<&'static Location<'static>>,
    ) -> About<'_> {
        self.about(activity, activity.name(), location)
    }

    /// The object as something to wait for, for the ranks that `awaited` finds.
    pub(crate) fn awaits<F: Fn() -> Vec<Awaited>>(&self, awaited: F) -> Described<'_, F> {
        Described {
            object: self.global(),
            ..Described::new(&self.domain, self.label(), awaited)
        }
    }

    /// The mapping with the object's memory, and where in it that begins.
    pub(crate) fn memory(&self) -> (&Arc<Mapping>, usize) {
        let start = self.extent.offset as usize + size_of::<BlockHeader>();
        (&self.chunk, start)
    }

    /// The length in bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.extent.length as usize
    }

    /// Whether all ranks of this node have dropped the object and only the server still uses it.
    pub(crate) fn is_left_to_server(&self) -> bool {
        let header: &BlockHeader = self.chunk.get(self.extent.offset as usize);
        let members = self.domain.segment().shape().members;
        header.given_back.load(Ordering::Relaxed) as usize + 1 == members
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let header = self.chunk.get(self.extent.offset as usize);
        self.domain.segment().give_back(self.extent, header);
    }
}

impl Surroundings for Block {
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

    fn check_hosts(&self) -> Result<(), Stop> {
        self.domain.check_hosts()
    }

    fn is_alive(&self, local_rank: usize) -> bool {
        self.domain.is_alive(local_rank)
    }
}
