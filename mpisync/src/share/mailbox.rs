//! The mailbox of an object in the memory of a node.

use crate::share::layout::{Filling, Mailbox, RankRecord, Record};
use crate::shm::domain::Domain;
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::{Mapping, Shareable};
use crate::shm::segment::Shape;
use crate::shm::topology::Topology;
use std::sync::Arc;
use std::sync::atomic::Ordering;

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for Mailbox {}
// SAFETY: as above.
unsafe impl Shareable for Line<RankRecord> {}

/// The layout of a mailbox: the words for all ranks, then a record for each member.
pub(crate) struct MailboxLayout;

impl Layout for MailboxLayout {
    fn length(&self, topology: &Topology) -> usize {
        size_of::<Mailbox>() + Shape::of(topology).members * size_of::<Line<RankRecord>>()
    }
}

/// One mailbox, as this rank or the node's server sees it.
pub(crate) struct MailboxMemory {
    start: usize,
    members: usize,
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
            members: domain.segment().shape().members,
            me: part.block.me(),
            chunk: Arc::clone(part.memory()),
            domain: Arc::clone(domain),
        }
    }

    pub(super) fn domain(&self) -> &Domain {
        &self.domain
    }

    #[inline]
    pub(super) fn words(&self) -> &Mailbox {
        self.chunk.get(self.start)
    }

    /// The record of this local rank.
    #[inline]
    pub(super) fn rank_record(&self, local_rank: usize) -> &RankRecord {
        let records: &[Line<RankRecord>] = self
            .chunk
            .slice(self.start + size_of::<Mailbox>(), self.members);
        &records[local_rank].0
    }

    /// The record of this rank.
    #[inline]
    pub(super) fn my_record(&self) -> &RankRecord {
        self.rank_record(self.me)
    }

    /// Begins to fill `record`, a record of this mailbox, if no other rank does that is left.
    pub(super) fn try_to_fill<'a>(&self, record: &'a Record) -> Option<Filling<'a>> {
        let has_left = |local_rank| self.domain.local_departure(local_rank).is_some();
        record.try_to_fill(self.me, has_left)
    }

    /// Marks this rank as done with all calls. No rank waits for it to be done, and a rank that
    /// waits for its value finds that it has gone on.
    pub(super) fn leave_calls(&self) {
        self.my_record().done.swap(u64::MAX, Ordering::SeqCst);
    }

    /// The rank for which this local rank waits in `call`, if it does.
    pub(super) fn waits_for(&self, local_rank: usize, call: u64) -> Option<u32> {
        let record = self.rank_record(local_rank);
        let waits = record.waiting.load(Ordering::Acquire) == call;
        waits.then(|| record.waits_for.load(Ordering::Relaxed))
    }

    /// Whether all ranks of this node that take part are done with `call`.
    pub(super) fn all_local_are_done(&self, call: u64) -> bool {
        let ranks = self.domain.topology().local_ranks().len();
        (0..ranks).all(|local_rank| {
            self.rank_record(local_rank).done.load(Ordering::Acquire) >= call
                || self.domain.local_departure(local_rank).is_some()
        })
    }
}
