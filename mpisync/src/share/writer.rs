//! The writer's side of a fenced call.

use crate::error::CollectiveError;
use crate::share::calls::{CallNumber, FencedCall};
use crate::share::failure::{Failure, panic_message};
use crate::share::layout::{FAILED, Filling, INLINE, INLINE_VALUE, STAGED_VALUE};
use crate::share::payload::{Encoder, Kind};
use crate::share::remote::{Mailboxes, Value};
use crate::share::stream::Source;
use crate::shm::cells;
use crate::shm::domain::Domain;
use crate::shm::event::ALL;
use crate::shm::wait::Deadline;
use crate::shm::waiting::want::{GlobalId, Want, Wanted};
use crate::shm::waiting::{Awaited, Label, Subject};
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// That the other nodes accept the last value that this rank has shared in the record of the call
/// `before`, as something to wait for.
struct Acceptance<'a> {
    call: &'a FencedCall<'a>,
    mailboxes: &'a Mailboxes,
    before: CallNumber,
}

impl Subject for Acceptance<'_> {
    fn domain(&self) -> &Domain {
        self.call.described_block().domain()
    }

    fn label(&self) -> Label<'_> {
        self.call.described_block().label()
    }

    fn awaited(&self) -> Vec<Awaited> {
        Vec::new()
    }

    fn object(&self) -> Option<GlobalId> {
        self.call.block.global()
    }

    /// A node accepts a value once all its ranks are done with the call before in the same record.
    fn want(&self) -> Option<Want> {
        let of = self.call.block.global()?;
        let shared = self.mailboxes.last_shared(self.before);
        let collected = shared.same_record_before()?;
        Some(Want::of_each(of, Wanted::Collected(collected.0)))
    }
}

impl FencedCall<'_> {
    /// Waits until all ranks are done with the last call that used the record.
    pub(crate) fn make_room(&self) {
        if let Some(before) = self.number.same_record_before() {
            // If a host is lost, this rank shares nothing any more.
            let _ = self.wait_for_all(|record| record.done.load(Ordering::Acquire) >= before.0);
            self.wait_until_accepted(before);
        }
    }

    /// [`make_room`](Self::make_room) in a call in which all ranks have met, and so are done with
    /// earlier calls.
    pub(crate) fn make_room_in_meeting(&self) {
        if let Some(before) = self.number.same_record_before() {
            self.wait_until_accepted(before);
        }
    }

    fn wait_until_accepted(&self, before: CallNumber) {
        let Some(mailboxes) = self.mailboxes else {
            return;
        };
        let acceptance = Acceptance {
            call: self,
            mailboxes,
            before,
        };
        // A writer that went on would write over what the others still read.
        let call = self.waiting(&acceptance, "share").without_failing();
        mailboxes.wait_until_accepted(self.block, before, Deadline::NEVER.of(call));
    }

    /// Makes this rank the writer of the call; only under the write lock. `across` does so across
    /// nodes; its error is the rank that already is the writer.
    ///
    /// # Errors
    /// If another rank is the writer: [`CollectiveError::Diverged`] if that rank makes another
    /// call, otherwise [`CollectiveError::WriterMismatch`].
    pub(crate) fn claim(
        &self,
        across: impl FnOnce(CallNumber) -> Result<(), u32>,
    ) -> Result<(), CollectiveError> {
        let record = self.record();
        let here = self.rank() as usize;
        self.alone_with_record(|| -> Result<(), CollectiveError> {
            if record.claimed.load(Ordering::Relaxed) != self.number.0 {
                return Ok(());
            }
            let there = record.writer.load(Ordering::Relaxed) as usize;
            self.check_site(there)?;
            let call = Some(self.writers_call());
            Err(self.writer_mismatch(here, there, there, call))
        })?;
        across(self.number).map_err(|there| {
            let there = there as usize;
            self.writer_mismatch(here, there, there, None)
        })?;
        self.alone_with_record(|| self.take_charge());
        Ok(())
    }

    /// Reads or writes the record under the write lock, which keeps other ranks of this node from
    /// it, while the node's server puts no value of another node into it.
    fn alone_with_record<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(mailboxes) = self.mailboxes else {
            return work();
        };
        // If a host is lost, the call fails for that reason in the end.
        let _filling = mailboxes.begin_filling(self.block, self.mailbox, self.record());
        work()
    }

    /// Makes this rank the writer of a call in which all ranks know that it is.
    pub(crate) fn take_charge(&self) {
        let record = self.record();
        record.writer.store(self.rank(), Ordering::Relaxed);
        self.set_site();
        record.claimed.store(self.number.0, Ordering::Relaxed);
    }

    fn set_site(&self) {
        let location = self.site.location();
        let (file, line) = (location.file(), location.line());
        self.record()
            .set_site(self.site.number(), self.name(), file, line);
    }

    /// Shares a value without the lock, in a call in which all ranks know that this rank does. A
    /// panic of its `Serialize` is an error on all ranks.
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

    /// Shares an encoded value, or the reason why it could not be encoded.
    pub(crate) fn share_encoded<T>(
        &self,
        encoded: Result<&[u8], CollectiveError>,
    ) -> Result<(), CollectiveError> {
        match encoded {
            Ok(mut bytes) => self.share(Kind::serde::<T>(), &mut bytes),
            Err(error) => {
                self.fail(Failure::Failed(&error.to_string()));
                Err(error)
            }
        }
    }

    /// Shares a value. A value too large for the record goes through the staging buffer, and this
    /// rank waits until all others have taken it.
    ///
    /// # Errors
    /// If this node has no memory for the staging buffer. The other ranks get the error, too.
    pub(crate) fn share(
        &self,
        kind: Kind,
        source: &mut impl Source,
    ) -> Result<(), CollectiveError> {
        let Some(filling) = self.begin_filling() else {
            self.finish();
            return Ok(());
        };
        let shared = self.share_through_record(kind, source, filling);
        self.finish();
        shared
    }

    fn share_through_record(
        &self,
        kind: Kind,
        source: &mut impl Source,
        filling: Option<Filling<'_>>,
    ) -> Result<(), CollectiveError> {
        let record = self.record();
        let length = source.length();
        record.set_kind(kind.number(), kind.layout(), || kind.label());
        record.length.store(length, Ordering::Relaxed);
        if length <= INLINE as u64 {
            let mut bytes = [0; INLINE];
            let bytes = &mut bytes[..length as usize];
            source.fill(bytes);
            cells::copy_in(&record.data, bytes);
            self.publish(filling, INLINE_VALUE, "", bytes);
            return Ok(());
        }
        let has_others = self.block.domain().topology().size() > 1;
        if has_others && let Err(error) = self.block.domain().segment().allocate_stage() {
            let reason = format!("its node has no shared memory to pass {length} bytes: {error}");
            record.reason.set(&reason);
            self.publish(filling, FAILED, &reason, &[]);
            return Err(record.failure(FAILED));
        }
        record.staged.store(0, Ordering::Relaxed);
        self.publish(filling, STAGED_VALUE, "", &[]);
        if has_others {
            self.send_chunks(source, length);
        }
        Ok(())
    }

    /// Shares the reason why there is no value.
    pub(crate) fn fail(&self, failure: Failure<'_>) {
        if let Some(filling) = self.begin_filling() {
            let (outcome, reason) = failure.to_words();
            self.record().reason.set(reason);
            self.publish(filling, outcome, reason, &[]);
        }
        self.finish();
    }

    /// Begins to fill the record; the inner None is for a single node, where nobody else can. None
    /// for a fence that outlived its epoch: a later call uses the record, and no rank waits for this
    /// one. And if a host is lost: then the waits of the others end with an error, and earlier ones
    /// may not have collected what this rank would overwrite.
    fn begin_filling(&self) -> Option<Option<Filling<'_>>> {
        let record = self.record();
        let mut filling = None;
        if let Some(mailboxes) = self.mailboxes {
            if self.block.domain().host_loss().is_some() {
                return None;
            }
            let begun = mailboxes.begin_filling(self.block, self.mailbox, record);
            filling = Some(begun.ok()?);
        }
        let wrote = &self.my_record().wrote[self.number.record()];
        wrote.store(self.number.0, Ordering::Relaxed);
        if record.call.load(Ordering::Relaxed) > self.number.0 {
            return None;
        }
        self.set_site();
        Some(filling)
    }

    /// Publishes the record on this node, and sends it to the other nodes.
    fn publish(&self, filling: Option<Filling<'_>>, outcome: u32, reason: &str, data: &[u8]) {
        let record = self.record();
        record.outcome.store(outcome, Ordering::Relaxed);
        record.writer.store(self.rank(), Ordering::Relaxed);
        // An exchange, so that the check for sleepers comes after it.
        record.call.swap(self.number.0, Ordering::SeqCst);
        drop(filling);
        self.published().notify(ALL);
        let Some(mailboxes) = self.mailboxes else {
            return;
        };
        let location = self.site.location();
        let value = Value {
            call: self.number.0,
            writer: self.rank(),
            outcome,
            kind: record.kind.load(Ordering::Relaxed),
            layout: record.layout.load(Ordering::Relaxed),
            label: record.label.get(),
            length: record.length.load(Ordering::Relaxed),
            site: self.site.number(),
            name: self.name().to_owned(),
            file: location.file().to_owned(),
            line: location.line(),
            reason: reason.to_owned(),
            data: data.to_vec(),
        };
        mailboxes.publish(self.number, value);
    }
}
