//! The waits of a rank's futures for its lock.
//!
//! What a future has stored in shared memory is noted here and not in the future: so a leaked one
//! (`mem::forget`) is withdrawn by the next call that may.

use crate::rwlock::global::writer::Next;
use crate::rwlock::node::{Closed, WaitingReader};
use crate::rwlock::state::{LockState, ONE_READ, ONE_WRITE};
use crate::shm::wait::Stop;
use crate::span::Activity;
use std::cell::Cell;
use std::mem;
use std::panic::Location;

/// What the futures of this rank wait for.
#[derive(Default)]
pub(super) struct Pending {
    /// The number of futures that wait to read.
    readers: Cell<u32>,
    /// They all wait in the one slot of this rank.
    reader: Cell<Option<WaitingReader>>,
    /// There is one future at most that waits to write.
    writer: Cell<Option<WriterStage>>,
}

/// What a future that writes waits for.
#[derive(Clone, Copy, Debug)]
pub(in crate::rwlock) enum WriterStage {
    /// The turn of the node.
    Turn,
    /// The readers of the only node.
    LocalReaders(Closed),
    /// With the turn of the node, this step of the protocol across nodes.
    Global(Next),
}

impl Pending {
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.readers.get() > 0 || self.writer.get().is_some()
    }
}

/// As a future that reads.
impl LockState {
    /// Enters as a reader, or once more if this rank has the lock. If it cannot, this rank waits in
    /// the lock from here on. `waits` is whether the future counts as waiting. Returns whether it has
    /// entered.
    ///
    /// # Errors
    /// If it `inspects` and finds that the gate will not open.
    #[inline]
    pub(in crate::rwlock) fn poll_read(
        &self,
        waits: &mut bool,
        location: &'static Location<'static>,
        inspects: bool,
    ) -> Result<bool, Stop> {
        if self.holds_any() {
            // Also through another future, or a call in between.
            self.enter_read_again();
        } else if *waits || self.waits_in_slot() || !self.node.try_read() {
            self.release_leaked_before();
            if !self.poll_read_later(inspects)? {
                self.count_reader(waits);
                return Ok(false);
            }
            self.note_reader(location);
        } else {
            self.note_reader(location);
        }
        self.forget_reader(waits);
        Ok(true)
    }

    /// Whether a future of this rank waits in its slot.
    #[inline]
    fn waits_in_slot(&self) -> bool {
        self.pending.reader.get().is_some()
    }

    #[cold]
    fn poll_read_later(&self, inspects: bool) -> Result<bool, Stop> {
        let mut waiting = self.pending.reader.take();
        let entered = self.node.poll_read(&mut waiting);
        if !entered && inspects {
            self.node.inspect_read(&mut waiting)?;
        }
        self.pending.reader.set(waiting);
        Ok(entered)
    }

    /// Ends the wait of a future. The rank waits no longer if this was the last one.
    pub(in crate::rwlock) fn withdraw_reader(&self, waits: &mut bool) {
        self.forget_reader(waits);
        if self.pending.readers.get() == 0 {
            self.withdraw_slot();
        }
    }

    fn withdraw_slot(&self) {
        let mut waiting = self.pending.reader.take();
        self.node.withdraw_read(&mut waiting);
    }

    fn note_reader(&self, location: &'static Location<'static>) {
        self.held.set(ONE_READ);
        self.note_held_at(Activity::Read, location);
    }

    fn count_reader(&self, waits: &mut bool) {
        if !mem::replace(waits, true) {
            self.pending.readers.set(self.pending.readers.get() + 1);
        }
    }

    #[inline]
    fn forget_reader(&self, waits: &mut bool) {
        if mem::replace(waits, false) {
            self.pending.readers.set(self.pending.readers.get() - 1);
        }
    }
}

/// As the only future that writes.
impl LockState {
    /// Goes on as a writer as far as possible without waiting. Returns whether it has entered.
    ///
    /// # Errors
    /// If it finds that it cannot enter, for which it looks if it `inspects`. This rank waits no
    /// longer.
    #[inline]
    pub(crate) fn poll_write(
        &self,
        location: &'static Location<'static>,
        inspects: bool,
    ) -> Result<bool, Stop> {
        let stage = self.pending.writer.take();
        let next = match &self.global {
            Some(global) => global.poll_write(self.borrowed(), stage, inspects)?,
            None => self.node.poll_write(stage, inspects)?,
        };
        self.pending.writer.set(next);
        if next.is_some() {
            return Ok(false);
        }
        self.held.set(ONE_WRITE);
        self.note_held_at(Activity::Write, location);
        Ok(true)
    }

    /// Waits no longer, if this rank waits to write.
    #[cold]
    pub(crate) fn withdraw_writer(&self) {
        let Some(stage) = self.pending.writer.take() else {
            return;
        };
        match &self.global {
            Some(global) => global.withdraw_write(self.borrowed(), stage),
            None => self.node.withdraw_write(stage),
        }
    }
}

/// After leaked futures.
impl LockState {
    /// Ends the waits of leaked futures. No future of this rank is alive: each borrows the owner of
    /// the lock, which the caller has mutably.
    #[cold]
    pub(super) fn withdraw_leaked(&self) {
        self.withdraw_writer();
        self.pending.readers.set(0);
        self.withdraw_slot();
    }

    /// Ends the wait of a leaked future that writes. None is alive: it borrows the owner of the lock
    /// mutably, and the caller has a guard or takes one. Futures that read may be alive.
    #[inline]
    pub(super) fn withdraw_leaked_writer(&self) {
        if self.pending.writer.get().is_some() {
            self.withdraw_writer();
        }
    }
}
