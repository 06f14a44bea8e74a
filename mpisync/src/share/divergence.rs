//! Detection of ranks that disagree about a call: about the call itself, or about its writer.
//!
//! A collector that waits long publishes in its record for whom it waits, and where. So ranks that
//! wait for each other find out.

use crate::error::{CollectiveError, LockError, ObjectCall};
use crate::location::Place;
use crate::rendezvous;
use crate::share::calls::{CallNumber, FencedCall};
use crate::share::layout::RankRecord;
use crate::share::remote::Reason;
use crate::shm::topology::RankLocation;
use std::sync::atomic::Ordering;

/// As the writer.
impl FencedCall<'_> {
    /// The error if a collector of one of this rank's last two calls was in another call. Returned
    /// once per call; after [`make_room`](Self::make_room), nothing about the former of the two can
    /// follow.
    #[inline]
    pub(crate) fn divergence(&self) -> Option<CollectiveError> {
        match self.mailbox.words().diverged.load(Ordering::Acquire) {
            0 => None,
            call => self.find_divergence(CallNumber(call)),
        }
    }

    #[cold]
    fn find_divergence(&self, call: CallNumber) -> Option<CollectiveError> {
        let mailbox = self.mailbox.words();
        let record = &mailbox.records[call.record()];
        let is_of_now = call.epoch() == self.block.domain().epoch();
        let is_there = is_of_now && record.call.load(Ordering::Relaxed) == call.0;
        if is_there && record.writer.load(Ordering::Relaxed) != self.rank() {
            // The error belongs to that rank.
            return None;
        }
        let taken =
            mailbox
                .diverged
                .compare_exchange(call.0, 0, Ordering::Relaxed, Ordering::Relaxed);
        if !is_there || taken.is_err() {
            return None;
        }
        // A rank that has diverged again since then is told of in a later call.
        let diverged_in = |local_rank| {
            let called = self.mailbox.rank_record(local_rank).diverged_in(call.0)?;
            Some((local_rank, called))
        };
        let (local_rank, (called, place)) = (0..self.block.local_size()).find_map(diverged_in)?;
        let rank = self.block.domain().topology().local_ranks()[local_rank];
        let here = self.there(record.called.get(), record.place());
        let there = self.there(called, place);
        Some(CollectiveError::diverged(here, rank as usize, there))
    }
}

/// As any rank.
impl FencedCall<'_> {
    /// The error if this rank takes rank `here` for the writer, and `rank` takes rank `there`.
    pub(super) fn writer_mismatch(
        &self,
        here: usize,
        rank: usize,
        there: usize,
        there_call: Option<ObjectCall>,
    ) -> CollectiveError {
        CollectiveError::WriterMismatch {
            here: here as i32,
            here_call: self.here(),
            rank: rank as i32,
            there: there as i32,
            there_call,
        }
    }

    /// The call whose site a rank of this node has published.
    fn call_of(&self, record: &RankRecord) -> ObjectCall {
        let (called, place) = record.called();
        self.there(called, place)
    }
}

/// As a collector.
impl FencedCall<'_> {
    /// [`CollectiveError::Diverged`] if `writer` has made another call than this one.
    pub(super) fn check_site(&self, writer: usize) -> Result<(), CollectiveError> {
        let record = self.record();
        if record.site.load(Ordering::Relaxed) == self.site.number() {
            return Ok(());
        }
        let there = self.writers_call();
        Err(CollectiveError::diverged(self.here(), writer, there))
    }

    /// Notifies a writer of this node that it has made another call than this rank.
    #[cold]
    pub(super) fn notify_diverged(&self, writer: usize) {
        if let RankLocation::Local(_) = self.block.domain().topology().location(writer) {
            self.announce_wait(writer);
            let number = self.number.0;
            let record = self.my_record();
            record.set_diverged(number, self.site, self.name());
            let diverged = &self.mailbox.words().diverged;
            diverged.fetch_max(number, Ordering::AcqRel);
        }
    }

    /// Publishes for whom this rank waits, and where, to ranks that may wait for it in turn.
    pub(super) fn announce_wait(&self, writer: usize) {
        let record = self.my_record();
        record.waits_for.store(writer as u32, Ordering::Relaxed);
        record.set_site(self.site, self.name());
    }

    /// Checks whether `writer` can still be expected to share a value in this call.
    pub(super) fn inspect(&self, writer: usize) -> Result<(), CollectiveError> {
        self.announce_wait(writer);
        let number = self.number.0;
        self.my_record().waiting.store(number, Ordering::Release);
        let (mismatch, is_in_meeting) = match self.block.domain().topology().location(writer) {
            RankLocation::Local(local_rank) => self.inspect_local(local_rank, writer),
            RankLocation::Remote(_) => match self
                .mailboxes
                .and_then(|mailboxes| mailboxes.ask(self.block, self.number, writer))
            {
                Some(Reason::WaitsFor { rank, site }) => {
                    let there = site.map(|site| {
                        let place = Place::new(site.file, site.line);
                        self.there(site.called, place)
                    });
                    let mismatch = self.writer_mismatch(writer, writer, rank as usize, there);
                    (Some(mismatch), false)
                }
                Some(Reason::IsElsewhere) => (None, true),
                None => (None, false),
            },
        };
        let present = self.check_present(writer);
        // Whatever the writer did next, it shared its value first, if it has one.
        if self.is_published() {
            return Ok(());
        }
        // A writer that knows of it shares nothing, and is done.
        if let Some(loss) = self.block.domain().host_loss() {
            return Err(LockError::from(loss).into());
        }
        if is_in_meeting {
            return Err(rendezvous::meet_from_fence(self.block, writer, self.site));
        }
        mismatch.map_or(present, Err)
    }

    /// Why `writer`, a rank of this node, shares nothing if it waits, or has waited, in this
    /// call; and whether it is in a meeting instead.
    fn inspect_local(&self, local_rank: usize, writer: usize) -> (Option<CollectiveError>, bool) {
        let theirs = self.mailbox.rank_record(local_rank);
        let waits_for = self.mailbox.waits_for(local_rank, self.number.0);
        // Loaded after `waits_for`, since a rank stores its site before it waits; and before
        // `done`, since a rank that is not done with this call has not stored the site of a later
        // one.
        let site = theirs.site.load(Ordering::Acquire);
        // It waits in this call for another rank, or did so and has gone on: a writer shares before
        // it is done.
        let has_gone_on = theirs.done.load(Ordering::Acquire) >= self.number.0;
        let is_same = site == self.site.number();
        let is_elsewhere = waits_for.is_some() && !has_gone_on && !is_same;
        // Of a rank that has gone on, the site may be that of a later call.
        let there = || is_same.then(|| self.call_of(theirs));
        let named = waits_for.or(has_gone_on.then(|| theirs.waits_for.load(Ordering::Relaxed)));
        let mismatch = named.map(|named| {
            if is_elsewhere {
                return CollectiveError::diverged(self.here(), writer, self.call_of(theirs));
            }
            self.writer_mismatch(writer, writer, named as usize, there())
        });
        (mismatch, rendezvous::is_ahead(self.block, writer))
    }

    /// Checks that a rank may still do its part.
    ///
    /// # Errors
    /// [`CollectiveError::RankDied`], [`CollectiveError::RankEnded`], [`CollectiveError::RankLeft`].
    pub(super) fn check_present(&self, rank: usize) -> Result<(), CollectiveError> {
        let absent = self.block.domain().absentee(rank, self.absence(rank));
        absent.map_or(Ok(()), |(rank, absence)| {
            Err(CollectiveError::absent(rank, absence))
        })
    }
}
