//! The memory of a wait queue, on the node that has it: a seat for every rank of the communicator,
//! and what goes with its permit.

use crate::shm::block::Block;
use crate::shm::layout::Layout;
use crate::shm::line::Line;
use crate::shm::mapping::{ALIGN, Mapping, Shareable};
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::view::View;
use crate::shm::wait::Surroundings;
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::layout::{FreePermits, Seat, WaitWords};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The words of one wait queue, as one of the ranks sees them.
pub(crate) trait WaitMemory: Surroundings {
    /// The words that all share.
    fn words(&self) -> &WaitWords;

    /// The words of who has this seat, on whatever node.
    fn seat(&self, seat: usize) -> &Seat;

    /// How many seats there are.
    fn seats(&self) -> usize;

    /// The seat of this rank, or of the server.
    fn me(&self) -> usize;

    /// Lets who has this seat know that it was served; whether the server has to be called for
    /// that. A full barrier lies between.
    fn ring(&self, seat: usize) -> bool;

    /// Has the server tell those of other nodes that were served.
    fn call_server(&self) {}

    /// Whether it is for this rank, or the server, to take over from who has this seat and has
    /// died: for those of other nodes it is for the server, who does all that they ask for.
    fn acts_for(&self, _seat: usize) -> bool {
        true
    }

    /// Whether who acted for this seat has died, and who has it may live.
    fn is_orphan(&self, _seat: usize) -> bool {
        false
    }
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for WaitWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<Seat> {}

type SeatsView = View<WaitWords, Seat>;

/// The layout of a wait queue of all ranks, on the node of `root`.
#[derive(Clone, Debug)]
pub(crate) struct WaitLayout {
    pub(crate) root: i32,
    pub(crate) permits: u32,
    pub(crate) cargo: Cargo,
}

impl Layout for WaitLayout {
    fn length(&self, topology: &Topology) -> usize {
        if !topology.has_local(self.root) {
            return 0;
        }
        let cargo = self.cargo.room().next_multiple_of(ALIGN);
        SeatsView::length(seats(topology)) + cargo
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
            // SAFETY: there is room for so many bytes, of which nobody else knows yet.
            unsafe { place.copy_from_nonoverlapping(NonNull::from(&**bytes).cast(), bytes.len()) };
        }
    }
}

/// Those of this node's ranks, of its server if it has one, and of the other nodes' ranks.
fn seats(topology: &Topology) -> usize {
    topology.size() + usize::from(topology.spans_nodes())
}

/// Where `room` bytes of cargo lie in `memory`, for a list that begins at `start`.
pub(super) fn cargo(
    topology: &Topology,
    memory: &Mapping,
    start: usize,
    room: usize,
) -> NonNull<u8> {
    let offset = start + SeatsView::length(seats(topology));
    assert!(
        offset + room <= memory.length(),
        "as long as it was asked for"
    );
    // SAFETY: inside the mapping, as was just looked at.
    unsafe { memory.start().add(offset) }
}

/// A wait queue on this node, as this rank or the node's server sees it.
pub(crate) struct Seats {
    view: SeatsView,
    cargo: NonNull<u8>,
    /// Seats of this node.
    local: usize,
    /// The ranks of other nodes, in the order of their seats.
    remote: Vec<u32>,
}

impl Seats {
    /// The list that is all of an object's memory, for who has that view of the block.
    pub(crate) fn new(block: &Block) -> Self {
        let part = block.first_part();
        let domain = block.domain();
        let topology = domain.topology();
        let is_remote =
            |rank: &u32| matches!(topology.location(*rank as usize), RankLocation::Remote(_));
        Seats {
            view: View::new(part, seats(topology)),
            cargo: cargo(topology, part.memory(), part.start(), 0),
            local: domain.segment().shape().seats,
            remote: (0..topology.size() as u32).filter(is_remote).collect(),
        }
    }

    /// The bytes that go with the permit; aligned as lines are.
    #[inline]
    pub(crate) fn cargo(&self) -> NonNull<u8> {
        self.cargo
    }

    /// The rank of who has this seat; none for the server.
    pub(crate) fn rank_of(&self, seat: usize) -> Option<u32> {
        let here = self.view.domain().topology().local_ranks();
        match seat.checked_sub(self.local) {
            Some(remote) => self.remote.get(remote).copied(),
            None => here.get(seat).copied(),
        }
    }

    /// Whether this is the server's view.
    fn is_servers(&self) -> bool {
        self.me() >= self.view.domain().topology().local_ranks().len()
    }

    /// The seat of a rank.
    pub(crate) fn seat_of(&self, rank: u32) -> usize {
        match self.view.domain().topology().location(rank as usize) {
            RankLocation::Local(seat) => seat,
            RankLocation::Remote(index) => self.local + index,
        }
    }

    /// Whether a rank of this node has called the server.
    pub(crate) fn is_called(&self) -> bool {
        self.words().called.load(Ordering::SeqCst) != 0
    }

    /// The server comes. It sees what was done before the calls until now.
    pub(crate) fn take_call(&self) {
        if self.is_called() {
            self.words().called.swap(0, Ordering::SeqCst);
        }
    }
}

// SAFETY: the cargo lies in the chunk that the view keeps mapped, and is used by who has the permit, on whatever thread.
unsafe impl Send for Seats {}
// SAFETY: as above.
unsafe impl Sync for Seats {}

impl Surroundings for Seats {
    fn progress(&self) {
        self.view.progress();
    }

    fn poll_actively(&self, begins: bool) {
        self.view.poll_actively(begins);
    }

    fn spin_budget(&self) -> Option<Duration> {
        self.view.spin_budget()
    }

    fn is_alive(&self, seat: usize) -> bool {
        match seat.checked_sub(self.local) {
            Some(remote) => {
                let rank = self.remote[remote] as usize;
                self.view.domain().rank_is_alive(rank) && !self.is_orphan(seat)
            }
            None => self.view.is_alive(seat),
        }
    }
}

impl WaitMemory for Seats {
    #[inline]
    fn words(&self) -> &WaitWords {
        self.view.words()
    }

    #[inline]
    fn seat(&self, seat: usize) -> &Seat {
        self.view.seat(seat)
    }

    #[inline]
    fn seats(&self) -> usize {
        self.view.seats()
    }

    #[inline]
    fn me(&self) -> usize {
        self.view.me()
    }

    fn ring(&self, seat: usize) -> bool {
        let is_local = seat < self.local;
        if is_local {
            self.seat(seat).event().notify(1);
        }
        // The server looks by itself once it has done what it is doing.
        !is_local && !self.is_servers()
    }

    fn call_server(&self) {
        let called = &self.words().called;
        self.view.domain().call_server(called, true);
    }

    fn acts_for(&self, seat: usize) -> bool {
        seat < self.local || self.is_servers() || self.is_orphan(seat)
    }

    fn is_orphan(&self, seat: usize) -> bool {
        // The server has the last seat of this node.
        seat >= self.local && !self.is_servers() && !self.view.is_alive(self.local - 1)
    }
}
