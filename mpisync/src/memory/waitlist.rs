//! The memory of a waiting list, on the node that has it: a seat for every rank of the communicator, and what goes with its
//! permit.

use super::block::Block;
use super::domain::Domain;
use super::mapping::{ALIGN, Mapping, Shareable};
use super::topology::{RankPlace, Topology};
use super::words::lock::Line;
use super::words::waitlist::{Seat, WaitWords};
use super::{Surroundings, WaitMemory};
use crate::wait::ROUND_TRIPS;
use std::ptr::NonNull;
use std::sync::Arc;
#[cfg(feature = "mpi")]
use std::sync::atomic::Ordering;
use std::time::Duration;

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for WaitWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<Seat> {}

/// How many bytes it takes with a seat for each rank and for the node's agent, and so much cargo.
pub(super) fn length(topology: &Topology, cargo: usize) -> usize {
    cargo_at(seats(topology)) + cargo.next_multiple_of(ALIGN)
}

/// Those of this node's ranks, of its agent if it has one, and of the other nodes' ranks.
fn seats(topology: &Topology) -> usize {
    topology.size() + usize::from(topology.spans_nodes())
}

const SEATS_AT: usize = size_of::<WaitWords>();

fn cargo_at(seats: usize) -> usize {
    SEATS_AT + seats * size_of::<Line<Seat>>()
}

/// Where `room` bytes of cargo lie in `memory`, for a list that begins at `start`.
pub(super) fn cargo(
    topology: &Topology,
    memory: &Mapping,
    start: usize,
    room: usize,
) -> NonNull<u8> {
    let offset = start + cargo_at(seats(topology));
    assert!(
        offset + room <= memory.length(),
        "as long as it was asked for"
    );
    // SAFETY: inside the mapping, as was just looked at.
    unsafe { memory.start().add(offset) }
}

/// A waiting list on this node, as this rank or the node's agent sees it.
pub(crate) struct Seats {
    words: NonNull<WaitWords>,
    seats: NonNull<Line<Seat>>,
    count: usize,
    me: usize,
    cargo: NonNull<u8>,
    /// Seats of this node.
    near: usize,
    /// The ranks of other nodes, in the order of their seats.
    far: Vec<u32>,
    _chunk: Arc<Mapping>,
    domain: Arc<Domain>,
}

impl Seats {
    /// The one in the annex of `block`, for who has that view of it.
    pub(crate) fn new(block: &Block) -> Self {
        let domain = block.domain();
        let topology = domain.topology();
        let (chunk, start) = block.annex();
        let count = seats(topology);
        let seats: &[Line<Seat>] = chunk.slice(start + SEATS_AT, count);
        let is_far = |rank: &u32| matches!(topology.place(*rank as usize), RankPlace::Far(_));
        Seats {
            words: NonNull::from(chunk.get(start)),
            seats: NonNull::from(seats).cast(),
            count,
            me: super::Memory::me(block),
            cargo: cargo(topology, chunk, start, 0),
            near: domain.segment().shape().seats,
            far: (0..topology.size() as u32).filter(is_far).collect(),
            _chunk: Arc::clone(chunk),
            domain: Arc::clone(domain),
        }
    }

    /// The bytes that go with the permit; aligned as lines are.
    #[inline]
    pub(crate) fn cargo(&self) -> NonNull<u8> {
        self.cargo
    }

    /// The rank of who has this seat; none for the agent.
    pub(crate) fn rank_of(&self, seat: usize) -> Option<u32> {
        let here = self.domain.topology().here();
        match seat.checked_sub(self.near) {
            Some(far) => self.far.get(far).copied(),
            None => here.get(seat).copied(),
        }
    }

    /// The seat of a rank.
    #[cfg(feature = "mpi")]
    pub(crate) fn seat_of(&self, rank: u32) -> usize {
        match self.domain.topology().place(rank as usize) {
            RankPlace::Here(seat) => seat,
            RankPlace::Far(index) => self.near + index,
        }
    }

    /// Whether a rank of this node has called the agent.
    #[cfg(feature = "mpi")]
    pub(crate) fn is_called(&self) -> bool {
        self.words().called.load(Ordering::SeqCst) != 0
    }

    /// The agent comes. It sees what was done before the calls until now.
    #[cfg(feature = "mpi")]
    pub(crate) fn take_call(&self) {
        if self.is_called() {
            self.words().called.swap(0, Ordering::SeqCst);
        }
    }
}

// SAFETY: the pointers lead into the chunk, which any thread may use: to words that are atomics, and to cargo that is used by
// who has the permit.
unsafe impl Send for Seats {}
// SAFETY: as above.
unsafe impl Sync for Seats {}

impl Surroundings for Seats {
    fn progress(&self) {
        self.domain.progress();
    }

    fn attend(&self, attends: bool) {
        if !self.far.is_empty() {
            self.domain.attend(attends);
        }
    }

    fn patience(&self) -> Option<Duration> {
        (!self.far.is_empty()).then_some(ROUND_TRIPS)
    }

    fn is_alive(&self, seat: usize) -> bool {
        match seat.checked_sub(self.near) {
            Some(far) => self.domain.rank_is_alive(self.far[far] as usize),
            None => self.domain.is_alive(seat),
        }
    }
}

impl WaitMemory for Seats {
    #[inline]
    fn words(&self) -> &WaitWords {
        // SAFETY: taken from a reference into the chunk, which `self` keeps mapped.
        unsafe { self.words.as_ref() }
    }

    #[inline]
    fn seat(&self, seat: usize) -> &Seat {
        assert!(seat < self.count, "a seat of the list");
        // SAFETY: taken from a slice of `count` values in the chunk, which `self` keeps mapped.
        unsafe { &self.seats.add(seat).as_ref().0 }
    }

    #[inline]
    fn seats(&self) -> usize {
        self.count
    }

    #[inline]
    fn me(&self) -> usize {
        self.me
    }

    fn ring(&self, seat: usize) {
        if seat < self.near {
            self.seat(seat).event().notify(1);
        }
        // The agent looks by itself once it has done what it is doing.
        #[cfg(feature = "mpi")]
        if seat >= self.near && self.me < self.domain.topology().here().len() {
            self.domain.call_agent(&self.words().called, true);
        }
    }
}
