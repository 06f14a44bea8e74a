//! The mailbox of a controller in the memory of a node.

use crate::share::layout::{Mail, Mailbox};
use crate::shm::domain::Domain;
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::{Mapping, Shareable};
use crate::shm::segment::Shape;
use crate::shm::topology::Topology;
use crate::shm::wait::Surroundings;
use std::sync::Arc;
use std::sync::atomic::Ordering;

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for Mailbox {}
// SAFETY: as above.
unsafe impl Shareable for Line<Mail> {}

/// The layout of a mailbox: words for all, and a line for each seat.
pub(crate) struct MailboxLayout;

impl Layout for MailboxLayout {
    fn length(&self, topology: &Topology) -> usize {
        size_of::<Mailbox>() + Shape::of(topology).seats * size_of::<Line<Mail>>()
    }
}

/// One mailbox, as this rank or the node's server sees it.
pub(crate) struct MailboxMemory {
    start: usize,
    seats: usize,
    me: usize,
    chunk: Arc<Mapping>,
    domain: Arc<Domain>,
}

impl MailboxMemory {
    /// The mailbox in that part of an object's memory.
    pub(crate) fn new(part: Part<'_>) -> Self {
        let domain: &Arc<Domain> = part.block.domain();
        MailboxMemory {
            start: part.start(),
            seats: domain.segment().shape().seats,
            me: part.block.me(),
            chunk: Arc::clone(part.memory()),
            domain: Arc::clone(domain),
        }
    }

    pub(super) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Through which values travel.
    #[inline]
    pub(super) fn words(&self) -> &Mailbox {
        self.chunk.get(self.start)
    }

    /// What the rank in this seat has to say.
    #[inline]
    pub(super) fn mail(&self, seat: usize) -> &Mail {
        let mails: &[Line<Mail>] = self
            .chunk
            .slice(self.start + size_of::<Mailbox>(), self.seats);
        &mails[seat].0
    }

    /// What this rank has to say.
    #[inline]
    pub(super) fn mine(&self) -> &Mail {
        self.mail(self.me)
    }

    /// This rank takes part in no call any more: nobody waits for it to be done with one, and who
    /// waits for what it shares finds that it went on without.
    pub(crate) fn leave_calls(&self) {
        self.mine().done.swap(u64::MAX, Ordering::SeqCst);
    }

    /// For whom the rank in this seat waits in `call`, if it does.
    pub(super) fn waits_for(&self, seat: usize, call: u64) -> Option<u32> {
        let mail = self.mail(seat);
        let waits = mail.waiting.load(Ordering::Acquire) == call;
        waits.then(|| mail.waits_for.load(Ordering::Relaxed))
    }

    /// Whether all ranks of this node that live are done with `call`.
    pub(super) fn all_local_are_done(&self, call: u64) -> bool {
        let ranks = self.domain.topology().local_ranks().len();
        (0..ranks).all(|seat| {
            self.mail(seat).done.load(Ordering::Acquire) >= call || !self.domain.is_alive(seat)
        })
    }
}
