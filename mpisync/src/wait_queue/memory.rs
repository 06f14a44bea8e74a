//! The memory of a wait queue, on the root's node: a slot for every rank of the communicator, and the
//! bytes that travel with its permit.

use crate::shm::absence::Absence;
use crate::shm::block::Block;
use crate::shm::domain::Urgency;
use crate::shm::layout::Layout;
use crate::shm::line::Line;
use crate::shm::mapping::{ALIGN, Mapping, Shareable};
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::view::View;
use crate::shm::wait::{Stop, Surroundings};
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::layout::{FreePermits, Slot, WaitWords};
use crate::wait_queue::remote::length_elsewhere;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The words of one wait queue, as one rank sees them.
pub(crate) trait WaitMemory: Surroundings {
    /// The words that all ranks share.
    fn words(&self) -> &WaitWords;

    /// The words of a slot.
    fn slot(&self, slot: usize) -> &Slot;

    /// The number of slots.
    fn slots(&self) -> usize;

    /// The slot of this rank, or of the server.
    fn me(&self) -> usize;

    /// Wakes the owner of this slot after it was served. Returns whether the server has to be called
    /// for that. The caller has executed a full barrier since the grant.
    fn ring(&self, slot: usize) -> bool;

    /// Has the server notify ranks of other nodes that were served.
    fn call_server(&self) {}

    /// Whether a rank owns this slot, not the server.
    fn is_ranks(&self, _slot: usize) -> bool {
        true
    }

    /// Whether this rank, or the server, may take over from the dead owner of this slot. Only the
    /// server takes over from ranks of other nodes, for which it acts.
    fn acts_for(&self, _slot: usize) -> bool {
        true
    }

    /// Whether the server, which acted for this slot, has died; its owner may live.
    fn is_orphan(&self, _slot: usize) -> bool {
        false
    }
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for WaitWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<Slot> {}

type SlotsView = View<WaitWords, Slot>;

/// The layout of a wait queue of all ranks, on the node of `root`. On other nodes there are words for
/// what their ranks have.
#[derive(Clone, Debug)]
pub(crate) struct WaitLayout {
    pub(crate) root: i32,
    pub(crate) permits: u32,
    pub(crate) cargo: Cargo,
}

/// The reader of a wait queue.
pub(super) const QUEUE: u32 = 2;

impl Layout for WaitLayout {
    fn length(&self, topology: &Topology) -> usize {
        if !topology.has_local(self.root) {
            return length_elsewhere(topology);
        }
        let cargo = self.cargo.room().next_multiple_of(ALIGN);
        SlotsView::length(slots(topology)) + cargo
    }

    fn reader(&self) -> u32 {
        QUEUE
    }

    fn prepare(&self, topology: &Topology, memory: &Mapping, start: usize) {
        if !topology.has_local(self.root) {
            return;
        }
        let words: &WaitWords = memory.get(start);
        let free_permits = FreePermits::of(self.permits);
        words.free_permits.store(free_permits.0, Ordering::SeqCst);
        words.total.store(self.permits, Ordering::SeqCst);
        if let Cargo::Value(bytes) = &self.cargo {
            let place = cargo(topology, memory, start, bytes.len());
            // SAFETY: there is room for these bytes, and no other rank knows of them yet.
            unsafe { place.copy_from_nonoverlapping(NonNull::from(&**bytes).cast(), bytes.len()) };
        }
    }
}

/// The number of slots: of this node's ranks, of its server if it has one, and of the other nodes'
/// ranks, in this order.
fn slots(topology: &Topology) -> usize {
    topology.size() + usize::from(topology.spans_nodes())
}

/// The address of `room` bytes of cargo in `memory`, for a queue that begins at `start`.
pub(super) fn cargo(
    topology: &Topology,
    memory: &Mapping,
    start: usize,
    room: usize,
) -> NonNull<u8> {
    let offset = start + SlotsView::length(slots(topology));
    assert!(
        offset + room <= memory.length(),
        "as long as it was asked for"
    );
    // SAFETY: inside the mapping, as was just checked.
    unsafe { memory.start().add(offset) }
}

/// A wait queue on this node, as this rank or the node's server sees it.
pub(crate) struct Slots {
    view: SlotsView,
    cargo: NonNull<u8>,
    /// The number of slots of this node.
    local: usize,
    /// The ranks of other nodes, in the order of their slots.
    remote: Vec<u32>,
}

impl Slots {
    /// The queue that is all of an object's memory, for the owner of this view of the block.
    pub(crate) fn new(block: &Block) -> Self {
        let part = block.first_part();
        let domain = block.domain();
        let topology = domain.topology();
        let is_remote =
            |rank: &u32| matches!(topology.location(*rank as usize), RankLocation::Remote(_));
        Slots {
            view: View::new(part, slots(topology)),
            cargo: cargo(topology, part.memory(), part.start(), 0),
            local: domain.segment().shape().members,
            remote: (0..topology.size() as u32).filter(is_remote).collect(),
        }
    }

    /// The bytes that travel with the permit; aligned as cache lines are.
    #[inline]
    pub(crate) fn cargo(&self) -> NonNull<u8> {
        self.cargo
    }

    /// The rank of this slot; none for the server.
    pub(crate) fn rank_of(&self, slot: usize) -> Option<u32> {
        let here = self.view.domain().topology().local_ranks();
        match slot.checked_sub(self.local) {
            Some(remote) => self.remote.get(remote).copied(),
            None => here.get(slot).copied(),
        }
    }

    /// Whether this is the server's view.
    fn is_servers(&self) -> bool {
        self.me() >= self.view.domain().topology().local_ranks().len()
    }

    /// The slot of a rank.
    pub(crate) fn slot_of(&self, rank: u32) -> usize {
        match self.view.domain().topology().location(rank as usize) {
            RankLocation::Local(slot) => slot,
            RankLocation::Remote(index) => self.local + index,
        }
    }

    /// Whether a rank of this node has called the server.
    pub(crate) fn is_called(&self) -> bool {
        self.words().called.load(Ordering::SeqCst) != 0
    }

    /// Answers the calls of the server so far. The server sees what was done before them.
    pub(crate) fn take_call(&self) {
        if self.is_called() {
            self.words().called.swap(0, Ordering::SeqCst);
        }
    }
}

// SAFETY: the cargo lies in the chunk that the view keeps mapped. Only the holder of the permit uses it, on any thread.
unsafe impl Send for Slots {}
// SAFETY: as above.
unsafe impl Sync for Slots {}

impl Surroundings for Slots {
    fn progress(&self) {
        self.view.progress();
    }

    fn poll_actively(&self, begins: bool) {
        self.view.poll_actively(begins);
    }

    fn spin_budget(&self) -> Option<Duration> {
        self.view.spin_budget()
    }

    fn longest_sleep(&self) -> Duration {
        self.view.longest_sleep()
    }

    fn check_hosts(&self) -> Result<(), Stop> {
        self.view.check_hosts()
    }

    fn is_alive(&self, slot: usize) -> bool {
        match slot.checked_sub(self.local) {
            Some(remote) => {
                let rank = self.remote[remote] as usize;
                self.view.domain().rank_is_alive(rank) && !self.is_orphan(slot)
            }
            None => self.view.is_alive(slot),
        }
    }

    fn has_ended(&self, slot: usize) -> bool {
        let domain = self.view.domain();
        // A server has no rank, and goes on until all ranks have ended.
        let rank = self.rank_of(slot);
        let departure = rank.and_then(|rank| domain.departure(rank as usize));
        matches!(departure, Some(Absence::Ended { .. }))
    }
}

impl WaitMemory for Slots {
    #[inline]
    fn words(&self) -> &WaitWords {
        self.view.words()
    }

    #[inline]
    fn slot(&self, slot: usize) -> &Slot {
        self.view.slot(slot)
    }

    #[inline]
    fn slots(&self) -> usize {
        self.view.slots()
    }

    #[inline]
    fn me(&self) -> usize {
        self.view.me()
    }

    fn ring(&self, slot: usize) -> bool {
        let is_local = slot < self.local;
        if is_local {
            self.slot(slot).event().notify(1);
        }
        // The server looks by itself once it has done what it is doing.
        !is_local && !self.is_servers()
    }

    fn call_server(&self) {
        let called = &self.words().called;
        self.view.domain().call_server(called, Urgency::AtOnce);
    }

    fn is_ranks(&self, slot: usize) -> bool {
        self.rank_of(slot).is_some()
    }

    fn acts_for(&self, slot: usize) -> bool {
        slot < self.local || self.is_servers() || self.is_orphan(slot)
    }

    fn is_orphan(&self, slot: usize) -> bool {
        // The server has the last slot of this node.
        slot >= self.local && !self.is_servers() && !self.view.is_alive(self.local - 1)
    }
}
