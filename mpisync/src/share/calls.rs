//! The fenced calls that a rank makes on an object.

use crate::error::ObjectCall;
use crate::location::{CallSite, Place};
use crate::net::Link;
use crate::share::layout::{RankRecord, Record};
use crate::share::mailbox::MailboxMemory;
use crate::share::remote::Mailboxes;
use crate::shm::absence::{Absence, HostLoss};
use crate::shm::block::{Block, ObjectName};
use crate::shm::domain::Domain;
use crate::shm::event::Event;
use crate::shm::layout::Part;
use crate::shm::topology::RankLocation;
use crate::shm::wait::{Deadline, Stop, wait};
use crate::shm::waiting::{Awaited, Call, Described, Subject};
use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The number of a call: an epoch of the communicator in the upper half, and a count from 1 in the
/// lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallNumber(pub(crate) u64);

impl CallNumber {
    pub(super) fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// This number, or in a later `epoch` the one before its first.
    fn within(self, epoch: u32) -> Self {
        if self.epoch() == epoch {
            self
        } else {
            CallNumber(u64::from(epoch) << 32)
        }
    }

    /// The number of the next call in `epoch`.
    fn next(self, epoch: u32) -> Self {
        CallNumber(self.within(epoch).0 + 1)
    }

    /// The last call before this one that used the same record. None at the beginning of an epoch,
    /// when all ranks have met and left their calls.
    pub(super) fn same_record_before(self) -> Option<Self> {
        (self.0 as u32 > 2).then(|| CallNumber(self.0 - 2))
    }

    /// The index of the call's record. Calls use the two records in turn.
    #[inline]
    pub(super) fn record(self) -> usize {
        (self.0 % 2) as usize
    }
}

/// An object's mailbox as one rank sees it, and the fenced calls that this rank has made through
/// it.
pub(crate) struct Calls {
    mailbox: MailboxMemory,
    /// The mailboxes of other nodes, if there are any.
    mailboxes: Option<Mailboxes>,
    /// The last call that this rank has begun.
    last: Cell<CallNumber>,
}

impl Calls {
    /// The calls on an object. `part` finds the mailbox in a view of the object's block.
    pub(crate) fn new(
        block: &Block,
        link: Option<&Link>,
        part: impl Fn(&Block) -> Part<'_>,
    ) -> Self {
        let mailbox = |block: &Block| MailboxMemory::new(part(block));
        Calls {
            mailbox: mailbox(block),
            mailboxes: link.map(|link| Mailboxes::open(link, mailbox)),
            last: Cell::new(CallNumber(0)),
        }
    }

    /// Begins the next call.
    pub(crate) fn begin(&self, domain: &Domain) -> CallNumber {
        let number = self.next(domain);
        self.last.set(number);
        number
    }

    /// The number that the next call will have.
    pub(crate) fn next(&self, domain: &Domain) -> CallNumber {
        self.last.get().next(domain.epoch())
    }

    /// The number of the last call, or the one before the first call of this epoch.
    pub(crate) fn last_in_epoch(&self, domain: &Domain) -> CallNumber {
        self.last.get().within(domain.epoch())
    }

    /// This rank's part in a call that it has made at `site`, on the object of `block`.
    pub(crate) fn call<'a>(
        &'a self,
        block: &'a Block,
        number: CallNumber,
        site: CallSite,
    ) -> FencedCall<'a> {
        FencedCall {
            block,
            mailbox: &self.mailbox,
            mailboxes: self.mailboxes.as_ref(),
            number,
            site,
            spin_budget: Duration::ZERO,
            outer: None,
        }
    }

    /// Leaves all calls for good. Other ranks do not wait for this one any more.
    pub(crate) fn leave(&self) {
        self.mailbox.leave_calls();
    }
}

/// This rank's part in one fenced call.
#[derive(Clone, Copy)]
pub(crate) struct FencedCall<'a> {
    pub(super) block: &'a Block,
    pub(super) mailbox: &'a MailboxMemory,
    /// The mailboxes of other nodes, if the communicator spans nodes.
    pub(super) mailboxes: Option<&'a Mailboxes>,
    pub(super) number: CallNumber,
    pub(super) site: CallSite,
    /// The least time for which a collector polls before it sleeps.
    pub(super) spin_budget: Duration,
    /// The call of which this one is a part.
    pub(super) outer: Option<&'a OuterCall<'a>>,
}

/// A call of an object that has some of its ranks, such as those of a worker, meet on an object of
/// their own. Their waits are reported as waits on the outer object.
pub(crate) struct OuterCall<'a> {
    /// The block of the outer object.
    pub(crate) block: &'a Block,
    /// The ranks of the inner object in the communicator of the outer one.
    pub(crate) members: &'a [i32],
    /// The name of the call.
    pub(crate) name: &'a str,
    /// Called about once a millisecond while a rank waits for a value.
    pub(crate) poll: &'a dyn Fn(),
}

impl OuterCall<'_> {
    /// Ranks of the inner object as ranks of the outer one.
    pub(crate) fn translated(&self, awaited: Vec<Awaited>) -> Vec<Awaited> {
        let outer = |inner: Awaited| Awaited {
            rank: self.members[inner.rank as usize] as u32,
            ..inner
        };
        awaited.into_iter().map(outer).collect()
    }

    /// Why a rank of the inner object does not come, as far as the outer object knows.
    pub(crate) fn absence(&self, inner: usize) -> Option<Absence> {
        let domain = self.block.domain();
        let rank = self.members[inner] as usize;
        match domain.topology().location(rank) {
            RankLocation::Local(_) => domain.absence(rank),
            // What it has sent may be on its way.
            RankLocation::Remote(_) => None,
        }
    }
}

impl<'a> FencedCall<'a> {
    /// The call with another least time for which a collector polls.
    pub(crate) fn with_spin_budget(self, spin_budget: Duration) -> Self {
        FencedCall {
            spin_budget,
            ..self
        }
    }

    /// The same as a part of another call.
    pub(crate) fn part_of(self, outer: &'a OuterCall<'a>) -> Self {
        FencedCall {
            outer: Some(outer),
            ..self
        }
    }

    /// Why a rank does not come, as far as is known.
    pub(super) fn absence(&self, rank: usize) -> Option<Absence> {
        let outer = || self.outer.and_then(|outer| outer.absence(rank));
        self.block.domain().absence(rank).or_else(outer)
    }

    /// The object as something to wait for, for the ranks that `awaited` finds.
    pub(super) fn awaits<F: Fn() -> Vec<Awaited>>(
        &self,
        awaited: F,
    ) -> Described<'a, impl Fn() -> Vec<Awaited> + use<'a, F>> {
        let outer = self.outer;
        self.described_block().awaits(move || match outer {
            None => awaited(),
            Some(outer) => outer.translated(awaited()),
        })
    }

    /// The call as one that waits for `subject`.
    pub(super) fn waiting<'b>(&self, subject: &'b dyn Subject, name: &'static str) -> Call<'b>
    where
        'a: 'b,
    {
        let name = self.outer.map_or(name, |outer| outer.name);
        Call::new(subject, name, self.site.location())
    }

    /// The name of the call.
    pub(super) fn name(&self) -> &'a str {
        self.outer.map_or(self.site.label(), |outer| outer.name)
    }

    /// The call, for errors.
    pub(super) fn here(&self) -> ObjectCall {
        self.object().call(self.name(), self.site.place())
    }

    /// The call `name` that another rank makes on the same object, for errors.
    pub(super) fn there(&self, name: String, place: Place) -> ObjectCall {
        self.object().call(&name, place)
    }

    fn object(&self) -> &'a ObjectName {
        self.described_block().object_name()
    }

    /// The object that reports and errors name.
    pub(super) fn described_block(&self) -> &'a Block {
        self.outer.map_or(self.block, |outer| outer.block)
    }

    /// The call of this record's writer.
    pub(super) fn writers_call(&self) -> ObjectCall {
        let record = self.record();
        self.there(record.called.get(), record.place())
    }

    /// The record of the call's outcome.
    pub(super) fn record(&self) -> &'a Record {
        &self.mailbox.words().records[self.number.record()]
    }

    pub(super) fn my_record(&self) -> &'a RankRecord {
        self.mailbox.my_record()
    }

    pub(super) fn rank(&self) -> u32 {
        self.block.domain().topology().rank()
    }

    pub(super) fn published(&self) -> Event<'a> {
        self.mailbox.words().published()
    }

    pub(super) fn collected(&self) -> Event<'a> {
        let mailbox = self.mailbox.words();
        Event {
            word: &mailbox.collected,
            sleepers: &mailbox.collected_sleepers,
        }
    }

    /// Whether the record has the outcome of this call. Acquire: the rest of it is complete, too.
    pub(super) fn is_published(&self) -> bool {
        self.record().call.load(Ordering::Acquire) == self.number.0
    }

    /// Whether the communicator is in a later epoch.
    pub(crate) fn is_over(&self) -> bool {
        self.number.epoch() != self.block.domain().epoch()
    }

    /// Ends this rank's part.
    pub(crate) fn finish(&self) {
        self.my_record().done.swap(self.number.0, Ordering::SeqCst);
        self.collected().notify(1);
    }

    /// Waits until `is_done` holds of all other ranks of this node that take part.
    ///
    /// # Errors
    /// If a host is lost. Then the caller must not overwrite what they have not collected.
    pub(super) fn wait_for_all(
        &self,
        is_done: impl Fn(&RankRecord) -> bool,
    ) -> Result<(), HostLoss> {
        let block = self.block;
        let others = || (0..block.local_size()).filter(|&local_rank| local_rank != block.me());
        let subject = self.awaits(|| {
            let late = others().filter(|&other| !is_done(self.mailbox.rank_record(other)));
            let ranks = block.domain().topology().local_ranks();
            Awaited::all(late.map(|late| ranks[late]), "has not collected")
        });
        // A writer that went on would write over what the others still read.
        let call = self.waiting(&subject, "share").without_failing();
        let deadline = Deadline::NEVER.of(call);
        for local_rank in others() {
            let record = self.mailbox.rank_record(local_rank);
            let rank = block.domain().topology().local_ranks()[local_rank];
            let domain = block.domain();
            let is_absent = domain.is_known_dead(local_rank) || !domain.takes_part(rank as usize);
            let is_absent = Cell::new(is_absent);
            let check = || (is_done(record) || is_absent.get()).then_some(());
            let inspect = || {
                let absent = domain.absentee(rank as usize, self.absence(rank as usize));
                is_absent.set(absent.is_some());
                Ok::<_, Stop>(())
            };
            let waited = wait(block, self.collected(), deadline, check, inspect);
            waited.map_err(Stop::expect_host_loss)?;
        }
        Ok(())
    }
}
