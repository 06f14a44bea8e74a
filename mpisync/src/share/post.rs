//! One call of a mailbox: the writer's side and the collectors' side.

use crate::error::CollectiveError;
use crate::location::{CallSite, Place};
use crate::rendezvous;
use crate::share::failure::{Failure, panic_message};
use crate::share::layout::{
    FAILED, INLINE, INLINE_VALUE, Mail, OBJECT_VALUE, PANICKED, Record, STAGED_VALUE, UNSHARED,
};
use crate::share::mailbox::MailboxMemory;
use crate::share::payload::{Encoder, Kind};
use crate::share::remote::{Mailboxes, Reason, Value, read_object};
use crate::share::stream::{Discard, Sink, Source};
use crate::share::{payload, stage};
use crate::shm::block::Block;
use crate::shm::cells;
use crate::shm::event::{ALL, Event};
use crate::shm::topology::RankLocation;
use crate::shm::wait::{Deadline, Stop, Surroundings, WithSpinBudget, wait};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The number of a call: an epoch of the communicator in the upper half, and a count from 1 in the
/// lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call(pub(crate) u64);

impl Call {
    fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// This call, or in a later `epoch` what stands before its first.
    pub(crate) fn within(self, epoch: u32) -> Self {
        if self.epoch() == epoch {
            self
        } else {
            Call(u64::from(epoch) << 32)
        }
    }

    /// The call after this one in `epoch`.
    pub(crate) fn next(self, epoch: u32) -> Self {
        Call(self.within(epoch).0 + 1)
    }

    /// Whether both were counted from the same point on.
    pub(crate) fn is_in_epoch_of(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }

    /// The call before this one that used the same record. None at the beginning of an epoch: there
    /// all ranks have met, and left their calls behind.
    pub(crate) fn same_record_before(self) -> Option<Self> {
        (self.0 as u32 > 2).then(|| Call(self.0 - 2))
    }
}

/// One call on a mailbox, made at `site`.
#[derive(Clone, Copy)]
pub(crate) struct Post<'a> {
    pub(crate) block: &'a Block,
    pub(crate) mailbox: &'a MailboxMemory,
    /// Those of other nodes, where the controller spans nodes.
    pub(crate) mailboxes: Option<&'a Mailboxes>,
    pub(crate) call: Call,
    pub(crate) site: CallSite,
    /// For how long at least a collector polls before it sleeps.
    pub(crate) spin_budget: Duration,
}

impl<'a> Post<'a> {
    fn record(&self) -> &'a Record {
        &self.mailbox.words().records[(self.call.0 % 2) as usize]
    }

    fn mine(&self) -> &'a Mail {
        self.mailbox.mine()
    }

    fn rank(&self) -> u32 {
        self.block.domain().topology().rank()
    }

    fn published(&self) -> Event<'a> {
        let mailbox = self.mailbox.words();
        Event {
            word: &mailbox.published,
            sleepers: &mailbox.published_sleepers,
        }
    }

    fn collected(&self) -> Event<'a> {
        let mailbox = self.mailbox.words();
        Event {
            word: &mailbox.collected,
            sleepers: &mailbox.collected_sleepers,
        }
    }

    /// Whether the record holds what came of this call. Acquire: then everything in it is there.
    fn is_published(&self) -> bool {
        self.record().call.load(Ordering::Acquire) == self.call.0
    }

    // The writer's side.

    /// Waits until everybody, the writer of that call too, is done with the call that used the
    /// record before.
    pub(crate) fn make_room(&self) {
        if let Some(before) = self.call.same_record_before() {
            self.wait_for_all(|mail| mail.done.load(Ordering::Acquire) >= before.0);
            self.wait_until_accepted(before);
        }
    }

    /// [`make_room`](Self::make_room) in a call in which all ranks have met, and so are done with
    /// those before.
    #[cfg(feature = "region")]
    pub(crate) fn make_room_in_meeting(&self) {
        if let Some(before) = self.call.same_record_before() {
            self.wait_until_accepted(before);
        }
    }

    fn wait_until_accepted(&self, before: Call) {
        if let Some(mailboxes) = self.mailboxes {
            mailboxes.wait_until_accepted(self.block, before);
        }
    }

    /// Makes this rank the writer of the call; only under the write lock. `across` does so across
    /// nodes; its error is the rank that is the writer already.
    ///
    /// # Errors
    /// Where another rank is it already: [`CollectiveError::WriterMismatch`], or
    /// [`CollectiveError::Diverged`] where that one makes another call.
    pub(crate) fn claim(
        &self,
        across: impl FnOnce(Call) -> Result<(), u32>,
    ) -> Result<(), CollectiveError> {
        let record = self.record();
        let here = self.rank() as i32;
        if record.claimed.load(Ordering::Relaxed) == self.call.0 {
            let there = record.writer.load(Ordering::Relaxed) as i32;
            self.check_site(there)?;
            return Err(writer_mismatch(here, there, there));
        }
        across(self.call).map_err(|there| writer_mismatch(here, there as i32, there as i32))?;
        self.take_charge();
        Ok(())
    }

    /// Why the call that this rank has shared in before the last one, or in the last one, was not
    /// the call of a rank that collected. Said once; after [`make_room`](Self::make_room) nothing
    /// is left to be said of the former.
    #[inline]
    pub(crate) fn divergence(&self) -> Option<CollectiveError> {
        match self.mailbox.words().diverged.load(Ordering::Acquire) {
            0 => None,
            call => self.find_divergence(Call(call)),
        }
    }

    #[cold]
    fn find_divergence(&self, call: Call) -> Option<CollectiveError> {
        let mailbox = self.mailbox.words();
        let record = &mailbox.records[(call.0 % 2) as usize];
        let is_of_now = call.epoch() == self.block.domain().epoch();
        let is_there = is_of_now && record.call.load(Ordering::Relaxed) == call.0;
        if is_there && record.writer.load(Ordering::Relaxed) != self.rank() {
            // It is told to that rank.
            return None;
        }
        let told =
            mailbox
                .diverged
                .compare_exchange(call.0, 0, Ordering::Relaxed, Ordering::Relaxed);
        if !is_there || told.is_err() {
            return None;
        }
        let says_so = |seat: &usize| {
            let mail = self.mailbox.mail(*seat);
            mail.diverged.load(Ordering::Acquire) == call.0
        };
        let seat = (0..self.block.seats_of_ranks()).find(says_so)?;
        Some(CollectiveError::Diverged {
            here: Place::new(record.file.get(), record.line.load(Ordering::Relaxed)),
            rank: self.block.domain().topology().local_ranks()[seat] as i32,
            there: self.place_of(seat),
        })
    }

    /// Makes this rank the writer of a call in which all ranks know that it is.
    pub(crate) fn take_charge(&self) {
        let record = self.record();
        record.writer.store(self.rank(), Ordering::Relaxed);
        self.set_site();
        record.claimed.store(self.call.0, Ordering::Relaxed);
    }

    fn set_site(&self) {
        let location = self.site.location();
        self.record()
            .set_site(self.site.number(), location.file(), location.line());
    }

    /// Shares a value in a call in which all ranks know that this one does, without the lock. A
    /// panic of its `Serialize` is an error, on all ranks.
    pub(crate) fn share_as_agreed<T: Serialize>(&self, value: &T) -> Result<(), CollectiveError> {
        self.make_room();
        self.take_charge();
        let encoder = &mut Encoder::new();
        let encoded = catch_unwind(AssertUnwindSafe(move || { encoder }.encode(value)));
        let encoded = encoded.unwrap_or_else(|panic| {
            let message = panic_message(panic.as_ref());
            Err(CollectiveError::Encode(format!("it panicked: {message}")))
        });
        self.share_encoded::<T>(encoded)
    }

    /// Shares a value that was encoded, or the reason why it could not be.
    pub(crate) fn share_encoded<T>(
        &self,
        encoded: Result<&[u8], CollectiveError>,
    ) -> Result<(), CollectiveError> {
        match encoded {
            Ok(mut bytes) => {
                self.share(Kind::serde::<T>(), &mut bytes);
                Ok(())
            }
            Err(error) => {
                self.fail(Failure::Failed(&error.to_string()));
                Err(error)
            }
        }
    }

    /// Shares a value. One that does not fit into the mailbox is passed through the stage, and this
    /// rank stays until all have taken it.
    pub(crate) fn share(&self, kind: Kind, source: &mut impl Source) {
        if !self.begin_filling() {
            return self.finish();
        }
        let record = self.record();
        let length = source.length();
        record.set_kind(kind.number(), kind.layout(), || kind.label());
        record.length.store(length, Ordering::Relaxed);
        if length <= INLINE as u64 {
            let mut bytes = [0; INLINE];
            let bytes = &mut bytes[..length as usize];
            source.fill(bytes);
            cells::copy_in(&record.data, bytes);
            self.publish(INLINE_VALUE, "", bytes);
        } else {
            record.staged.store(0, Ordering::Relaxed);
            self.publish(STAGED_VALUE, "", &[]);
            if self.block.domain().topology().size() > 1 {
                self.stream(source, length);
            }
        }
        self.finish();
    }

    /// Tells why there is no value.
    pub(crate) fn fail(&self, failure: Failure<'_>) {
        if !self.begin_filling() {
            return self.finish();
        }
        let record = self.record();
        match failure {
            Failure::Failed(reason) => {
                record.reason.set(reason);
                self.publish(FAILED, reason, &[]);
            }
            Failure::Panicked(message) => {
                record.reason.set(message);
                self.publish(PANICKED, message, &[]);
            }
            Failure::Unshared => self.publish(UNSHARED, "", &[]),
        }
        self.finish();
    }

    /// Begins to fill the record. False for a fence that outlived its epoch: a later call has the
    /// record, and nobody waits for this one any more.
    fn begin_filling(&self) -> bool {
        let record = self.record();
        if let Some(mailboxes) = self.mailboxes {
            mailboxes.begin_filling(self.block, record);
        }
        let wrote = &self.mine().wrote[(self.call.0 % 2) as usize];
        wrote.store(self.call.0, Ordering::Relaxed);
        if record.call.load(Ordering::Relaxed) > self.call.0 {
            record.filling.store(0, Ordering::Release);
            return false;
        }
        self.set_site();
        true
    }

    /// Puts the record out on this node, and sends the same to the others.
    fn publish(&self, outcome: u32, reason: &str, data: &[u8]) {
        let record = self.record();
        record.outcome.store(outcome, Ordering::Relaxed);
        record.writer.store(self.rank(), Ordering::Relaxed);
        // An exchange, so that the look at the sleepers comes after it.
        record.call.swap(self.call.0, Ordering::SeqCst);
        record.filling.store(0, Ordering::Release);
        self.published().notify(ALL);
        let Some(mailboxes) = self.mailboxes else {
            return;
        };
        let value = Value {
            call: self.call.0,
            writer: self.rank(),
            outcome,
            kind: record.kind.load(Ordering::Relaxed),
            layout: record.layout.load(Ordering::Relaxed),
            label: record.label.get(),
            length: record.length.load(Ordering::Relaxed),
            site: self.site.number(),
            file: self.site.location().file().to_owned(),
            line: self.site.location().line(),
            reason: reason.to_owned(),
            data: data.to_vec(),
        };
        mailboxes.publish(self.call, value);
    }

    /// Passes the chunks of a value through this rank's stage, at most two ahead of the slowest
    /// collector.
    fn stream(&self, source: &mut impl Source, length: u64) {
        let me = self.block.me();
        let words = self.block.domain().segment().stage(me);
        let mut bytes = vec![0; stage::CHUNK];
        let chunks = stage::chunks(length);
        for number in 0..chunks {
            let bytes = &mut bytes[..stage::chunk_length(length, number)];
            source.fill(bytes);
            if number >= 2 {
                self.wait_for_takers(number - 1);
            }
            if let Some(mailboxes) = self.mailboxes {
                mailboxes.send_piece(self.block, self.call, bytes);
            }
            stage::put(words, number, bytes);
            self.record().staged.swap(number + 1, Ordering::SeqCst);
            self.published().notify(ALL);
        }
        self.wait_for_takers(chunks);
    }

    /// Waits until all others have taken that many chunks of this call, or are done with it.
    fn wait_for_takers(&self, chunks: u64) {
        let enough = self.taken_word(chunks);
        self.wait_for_all(|mail| {
            mail.done.load(Ordering::Acquire) >= self.call.0
                || mail.taken.load(Ordering::Acquire) >= enough
                    && mail.taken.load(Ordering::Relaxed) >> 32 == enough >> 32
        });
    }

    /// What a collector's `taken` says when it has taken that many chunks of this call.
    fn taken_word(&self, chunks: u64) -> u64 {
        self.call.0 << 32 | chunks
    }

    /// Waits until `is_done` holds of all other ranks that are still alive.
    fn wait_for_all(&self, is_done: impl Fn(&Mail) -> bool) {
        let block = self.block;
        for seat in (0..block.seats_of_ranks()).filter(|&seat| seat != block.me()) {
            let mail = self.mailbox.mail(seat);
            let check = || (is_done(mail) || block.domain().is_known_dead(seat)).then_some(());
            let look = || {
                block.is_alive(seat);
                Ok::<_, Stop>(())
            };
            let waited = wait(block, self.collected(), Deadline::Never, check, look);
            debug_assert!(waited.is_ok(), "there is no deadline");
        }
    }

    // The collectors' side.

    /// Takes what `writer` shares in this call. `open` makes the sink for a value of that length;
    /// `kind` is none where any value will do. This rank is done with the call afterwards.
    pub(crate) fn collect<S: Sink>(
        &self,
        writer: usize,
        kind: Option<Kind>,
        limit: Option<Duration>,
        open: impl FnOnce(u64) -> Result<S, CollectiveError>,
    ) -> Result<S, CollectiveError> {
        let patient = WithSpinBudget {
            place: self.block,
            spin_budget: self.spin_budget,
        };
        let published = wait(
            &patient,
            self.published(),
            Deadline::within(limit),
            || self.is_published().then_some(()),
            || self.inspect(writer).map_err(Interrupted::Failed),
        );
        let taken = match published {
            Ok(()) => self.take(writer, kind, open),
            Err(Interrupted::Failed(error)) => Err(error),
            Err(Interrupted::Stopped) => {
                self.say_where(writer);
                Err(CollectiveError::Timeout {
                    waited: limit.unwrap_or(Duration::MAX),
                })
            }
        };
        self.finish();
        taken
    }

    /// [`collect`](Self::collect) for a value that was encoded.
    pub(crate) fn collect_encoded<T: DeserializeOwned>(
        &self,
        writer: usize,
        limit: Option<Duration>,
    ) -> Result<T, CollectiveError> {
        let kind = Some(Kind::serde::<T>());
        let room = |length| Ok(Vec::with_capacity(length as usize));
        let bytes = self.collect(writer, kind, limit, room)?;
        payload::decode(&bytes)
    }

    /// Waits until `writer` has shared something in this call, whatever it is.
    pub(crate) fn wait(&self, writer: usize) -> Result<(), CollectiveError> {
        self.collect(writer, None, None, |_| Ok(Discard)).map(drop)
    }

    /// Whether fenced calls are counted anew since this one.
    pub(crate) fn is_over(&self) -> bool {
        self.call.epoch() != self.block.domain().epoch()
    }

    /// This rank is done with the call without having waited for `writer`.
    pub(crate) fn leave(&self, writer: usize) {
        self.say_where(writer);
        self.finish();
    }

    /// Says for whom this rank waits, and where, to ranks that may wait for it in turn.
    fn say_where(&self, writer: usize) {
        let mine = self.mine();
        let location = self.site.location();
        mine.waits_for.store(writer as u32, Ordering::Relaxed);
        mine.file.set_tail(location.file());
        mine.line.store(location.line(), Ordering::Relaxed);
        mine.site.store(self.site.number(), Ordering::Release);
    }

    /// Where the rank in that seat last said that it is.
    fn place_of(&self, seat: usize) -> Place {
        let mail = self.mailbox.mail(seat);
        Place::new(mail.file.get(), mail.line.load(Ordering::Relaxed))
    }

    /// Says that this rank is done with the call.
    pub(crate) fn finish(&self) {
        self.mine().done.swap(self.call.0, Ordering::SeqCst);
        self.collected().notify(1);
    }

    fn take<S: Sink>(
        &self,
        writer: usize,
        kind: Option<Kind>,
        open: impl FnOnce(u64) -> Result<S, CollectiveError>,
    ) -> Result<S, CollectiveError> {
        let record = self.record();
        let author = record.writer.load(Ordering::Relaxed) as usize;
        if let Err(error) = self.check_site(author as i32) {
            self.tell_divergence(author);
            return Err(error);
        }
        if author != writer {
            return Err(writer_mismatch(writer as i32, author as i32, author as i32));
        }
        let outcome = record.outcome.load(Ordering::Relaxed);
        if !matches!(outcome, INLINE_VALUE | STAGED_VALUE | OBJECT_VALUE) {
            return Err(self.failure(outcome));
        }
        if let Some(kind) = kind {
            let layout = record.layout.load(Ordering::Relaxed);
            if !kind.is(record.kind.load(Ordering::Relaxed), layout) {
                return Err(kind.mismatch(writer as i32, record.label.get(), layout));
            }
        }
        let length = record.length.load(Ordering::Relaxed);
        let mut sink = open(length)?;
        if outcome == INLINE_VALUE {
            let mut bytes = [0; INLINE];
            let bytes = &mut bytes[..(length as usize).min(INLINE)];
            cells::copy_out(&record.data, bytes);
            sink.put(bytes);
        } else if kind.is_none() {
            // The caller does not want it.
        } else if outcome == OBJECT_VALUE {
            let name = record.staged.load(Ordering::Relaxed);
            read_object(name, length, &mut sink)?;
        } else {
            self.follow(writer, length, &mut sink)?;
        }
        Ok(sink)
    }

    /// [`CollectiveError::Diverged`] where `writer` has made another call than this one.
    fn check_site(&self, writer: i32) -> Result<(), CollectiveError> {
        let record = self.record();
        if record.site.load(Ordering::Relaxed) == self.site.number() {
            return Ok(());
        }
        Err(CollectiveError::Diverged {
            here: self.site.place(),
            rank: writer,
            there: Place::new(record.file.get(), record.line.load(Ordering::Relaxed)),
        })
    }

    /// Tells a writer of this node that it has made another call than this rank.
    #[cold]
    fn tell_divergence(&self, writer: usize) {
        if let RankLocation::Local(_) = self.block.domain().topology().location(writer) {
            self.say_where(writer);
            self.mine().diverged.store(self.call.0, Ordering::Release);
            let diverged = &self.mailbox.words().diverged;
            diverged.fetch_max(self.call.0, Ordering::AcqRel);
        }
    }

    /// Takes the chunks that `writer` passes through its stage.
    fn follow(
        &self,
        writer: usize,
        length: u64,
        sink: &mut impl Sink,
    ) -> Result<(), CollectiveError> {
        let record = self.record();
        let RankLocation::Local(seat) = self.block.domain().topology().location(writer) else {
            unreachable!("a staged value is of this node");
        };
        let words = self.block.domain().segment().stage(seat);
        let mut bytes = vec![0; stage::CHUNK];
        for number in 0..stage::chunks(length) {
            wait(
                self.block,
                self.published(),
                Deadline::Never,
                || (record.staged.load(Ordering::Acquire) > number).then_some(()),
                || self.check_alive(writer).map_err(Interrupted::Failed),
            )
            .map_err(|interrupted| interrupted.into_error())?;
            let bytes = &mut bytes[..stage::chunk_length(length, number)];
            stage::take(words, number, bytes);
            self.mine()
                .taken
                .swap(self.taken_word(number + 1), Ordering::SeqCst);
            self.collected().notify(1);
            sink.put(bytes);
        }
        Ok(())
    }

    fn failure(&self, outcome: u32) -> CollectiveError {
        let record = self.record();
        let rank = record.writer.load(Ordering::Relaxed) as i32;
        let place = Place::new(record.file.get(), record.line.load(Ordering::Relaxed));
        match outcome {
            UNSHARED => CollectiveError::Unshared { rank, place },
            PANICKED => CollectiveError::WriterPanicked {
                rank,
                place,
                message: record.reason.get(),
            },
            _ => CollectiveError::WriterFailed {
                rank,
                place,
                message: record.reason.get(),
            },
        }
    }

    fn check_alive(&self, rank: usize) -> Result<(), CollectiveError> {
        if self.block.domain().rank_is_alive(rank) {
            return Ok(());
        }
        Err(CollectiveError::RankDied { rank: rank as i32 })
    }

    /// Why nothing comes of `writer`, in that seat of this node, if it waits in this call or did
    /// so; and whether it is in a meeting instead.
    fn look_at(&self, seat: usize, writer: usize) -> (Option<CollectiveError>, bool) {
        let theirs = self.mailbox.mail(seat);
        let waits = self.mailbox.waits_for(seat, self.call.0);
        // Read after that, since a rank says where it is before it waits; and before `done`: who is not done with this call
        // has not said where it is in a later one.
        let site = theirs.site.load(Ordering::Acquire);
        // It waits in this call for somebody else, or did so and has gone on: a writer shares before it is done.
        let has_gone_on = theirs.done.load(Ordering::Acquire) >= self.call.0;
        let is_elsewhere = waits.is_some() && !has_gone_on && site != self.site.number();
        let waits = waits.or(has_gone_on.then(|| theirs.waits_for.load(Ordering::Relaxed)));
        let why = waits.map(|there| {
            if is_elsewhere {
                return CollectiveError::Diverged {
                    here: self.site.place(),
                    rank: writer as i32,
                    there: self.place_of(seat),
                };
            }
            writer_mismatch(writer as i32, writer as i32, there as i32)
        });
        (why, rendezvous::is_ahead(self.block, writer))
    }

    /// Looks whether `writer` can still be expected to share anything in this call.
    fn inspect(&self, writer: usize) -> Result<(), CollectiveError> {
        self.say_where(writer);
        self.mine().waiting.store(self.call.0, Ordering::Release);
        let (waits_too, elsewhere) = match self.block.domain().topology().location(writer) {
            RankLocation::Local(seat) => self.look_at(seat, writer),
            RankLocation::Remote(_) => match self
                .mailboxes
                .and_then(|mailboxes| mailboxes.ask(self.block, self.call, writer))
            {
                Some(Reason::WaitsFor(rank)) => (
                    Some(writer_mismatch(writer as i32, writer as i32, rank as i32)),
                    false,
                ),
                Some(Reason::IsElsewhere) => (None, true),
                None => (None, false),
            },
        };
        let dead = self.check_alive(writer);
        // Whatever the writer did next, it shared first, if it did.
        if self.is_published() {
            return Ok(());
        }
        if elsewhere {
            return Err(rendezvous::meet_from_fence(
                self.block,
                writer,
                self.site.location(),
            ));
        }
        waits_too.map_or(dead, Err)
    }
}

/// This rank takes rank `here` for the writer, and `rank` takes rank `there`.
fn writer_mismatch(here: i32, rank: i32, there: i32) -> CollectiveError {
    CollectiveError::WriterMismatch { here, rank, there }
}

/// Why a wait for a writer ended early.
enum Interrupted {
    Stopped,
    Failed(CollectiveError),
}

impl From<Stop> for Interrupted {
    fn from(_: Stop) -> Self {
        Interrupted::Stopped
    }
}

impl Interrupted {
    fn into_error(self) -> CollectiveError {
        match self {
            Interrupted::Failed(error) => error,
            Interrupted::Stopped => unreachable!("there is no deadline"),
        }
    }
}
