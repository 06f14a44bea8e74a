//! The permits of ranks of other nodes than the queue's, in the memory of their own nodes.
//!
//! The queue's node learns of a release when the message arrives. These words change before it is sent,
//! so they tell what a rank has while it waits for something else.

use crate::net::{Request, Service, Tail};
use crate::shm::block::Block;
use crate::shm::domain::Domain;
use crate::shm::mapping::{ALIGN, Mapping, Shareable};
use crate::shm::program::HeldAt;
use crate::shm::topology::Topology;
use crate::shm::waiting::want::{Kept, Wanted};
use crate::wait_queue::remote::messages::WaitQuestion;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The words of a rank. Stored by that rank only.
#[repr(C)]
struct KeptWords {
    /// The number of permits that it has.
    held: AtomicU32,
    /// Where it has taken permits last.
    held_at: HeldAt,
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for KeptWords {}

/// The words of all ranks of a node.
pub(super) struct KeptPermits {
    start: usize,
    count: usize,
    me: usize,
    chunk: Arc<Mapping>,
    domain: Arc<Domain>,
}

impl KeptPermits {
    /// The length in bytes on a node other than the queue's.
    pub(crate) fn length(topology: &Topology) -> usize {
        (topology.local_ranks().len() * size_of::<KeptWords>()).next_multiple_of(ALIGN)
    }

    /// The words at the beginning of an object's memory.
    pub(super) fn new(block: &Block) -> Self {
        let part = block.first_part();
        KeptPermits {
            start: part.start(),
            count: block.domain().topology().local_ranks().len(),
            me: block.me(),
            chunk: Arc::clone(part.memory()),
            domain: Arc::clone(block.domain()),
        }
    }

    fn words(&self, local_rank: usize) -> &KeptWords {
        let all: &[KeptWords] = self.chunk.slice(self.start, self.count);
        &all[local_rank]
    }

    /// Notes the number of permits that this rank has.
    pub(super) fn set(&self, held: u32) {
        self.words(self.me).held.store(held, Ordering::Release);
    }

    /// Notes where it has taken them.
    pub(super) fn set_place(&self, place: &'static Location<'static>) {
        self.words(self.me).held_at.set(place);
    }
}

/// The node's server of these words. It gets no messages.
pub(super) struct KeptServer(pub(super) KeptPermits);

impl Service for KeptServer {
    type Message = Request<WaitQuestion>;

    fn receive(&mut self, _: u32, _: Request<WaitQuestion>, _: Tail<'_>) {
        debug_assert!(false, "the queue's node gets the requests");
    }

    fn keeps(&self, local_rank: usize, want: &Wanted, _: bool) -> Kept {
        let KeptServer(kept) = self;
        let words = kept.words(local_rank);
        let held = words.held.load(Ordering::Acquire);
        permits(want, held, &words.held_at, &kept.domain, local_rank)
    }
}

/// What a rank of this node with `held` permits keeps.
pub(super) fn permits(
    want: &Wanted,
    held: u32,
    held_at: &HeldAt,
    domain: &Domain,
    local_rank: usize,
) -> Kept {
    if *want != Wanted::Permits || held == 0 {
        return Kept::default();
    }
    Kept {
        amount: held.into(),
        taken_at: held_at.get(domain, local_rank).map(Into::into),
    }
}
