//! The lock of a node as futures take it: the steps of a wait, each when the future is polled.

use crate::rwlock::layout::*;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::{NodeLock, WaitingReader};
use crate::rwlock::state::futures::WriterStage;
use crate::shm::atomic::{Ordering, full_fence};
use crate::shm::wait::{Deadline, Stop};

/// As a reader.
impl<M: Memory> NodeLock<M> {
    /// Enters as a reader if the gate is open, or was since the rank began to wait. If not, the rank
    /// waits from here on. Returns whether it has entered.
    pub(in crate::rwlock) fn poll_read(&self, waiting: &mut Option<WaitingReader>) -> bool {
        loop {
            let came_in = match *waiting {
                Some(reader) if self.is_waiting(reader) => self.has_come_in(reader),
                // It does not wait yet, or another call of this rank has used the slot since.
                _ if self.try_read() => Some(true),
                _ => {
                    let reader = waiting.insert(self.begin_to_wait());
                    self.has_come_in(*reader)
                }
            };
            match came_in {
                None => return false,
                Some(true) => {
                    self.come_in();
                    *waiting = None;
                    return true;
                }
                Some(false) => self.unlock_read(),
            }
        }
    }

    /// Checks, about once a millisecond, whether the gate will open for the rank, which waits.
    ///
    /// # Errors
    /// If it will not. The rank waits no longer.
    pub(in crate::rwlock) fn inspect_read(
        &self,
        waiting: &mut Option<WaitingReader>,
    ) -> Result<(), Stop> {
        self.inspect_gate()
            .inspect_err(|_| self.withdraw_read(waiting))
    }

    /// Waits no longer.
    pub(in crate::rwlock) fn withdraw_read(&self, waiting: &mut Option<WaitingReader>) {
        if let Some(reader) = waiting.take()
            && self.is_waiting(reader)
        {
            // A writer may already wait for this slot.
            self.unlock_read();
        }
    }

    /// Whether the slot still says what the reader has stored.
    fn is_waiting(&self, reader: WaitingReader) -> bool {
        let slot = &self.memory.my_words().slot;
        slot.load(Ordering::Relaxed) == waiting_since(reader.before)
    }
}

/// As a writer.
impl<M: Memory> NodeLock<M> {
    /// Takes the turn if it is free or was handed over. If not, the rank waits from here on, unless
    /// it did before. Returns whether it has the turn.
    ///
    /// # Errors
    /// If it `inspects` and finds that the turn will not come. The rank waits no longer.
    pub(in crate::rwlock) fn poll_turn(
        &self,
        is_waiting: bool,
        inspects: bool,
    ) -> Result<bool, Stop> {
        if !is_waiting {
            if self.try_turn() {
                return Ok(true);
            }
            self.request_turn();
        }
        if self.turn_has_come() {
            let request = &self.memory.my_words().request;
            request.store(NOT_REQUESTED, Ordering::Relaxed);
        } else if inspects && let Err(stop) = self.inspect_turn() {
            self.withdraw(stop, Deadline::NEVER)?;
        } else {
            return Ok(false);
        }
        // If the turn was handed over, no exchange of this rank was the barrier.
        full_fence();
        Ok(true)
    }

    /// The next step of a writer, if only ranks of this node use the lock. Returns what it waits for;
    /// none if it has entered.
    ///
    /// # Errors
    /// If it `inspects` and finds that it cannot enter. The rank waits no longer.
    pub(in crate::rwlock) fn poll_write(
        &self,
        stage: Option<WriterStage>,
        inspects: bool,
    ) -> Result<Option<WriterStage>, Stop> {
        let request = &self.memory.my_words().request;
        let closed = match stage {
            Some(WriterStage::LocalReaders(closed)) => closed,
            stage if self.poll_turn(stage.is_some(), inspects)? => self.close(),
            _ => return Ok(Some(WriterStage::Turn)),
        };
        if self.others_have_left(closed) {
            request.store(NOT_REQUESTED, Ordering::Relaxed);
            return Ok(None);
        }
        // As in `close_biased_gate`.
        request.store(GRANTED, Ordering::Relaxed);
        let stage = WriterStage::LocalReaders(closed);
        if inspects {
            let mut others = self.others();
            let inspected = others.try_for_each(|rank| self.inspect_reader(rank, closed));
            inspected.inspect_err(|_| self.withdraw_write(stage))?;
        }
        Ok(Some(stage))
    }

    /// Waits no longer, as a writer at this stage.
    pub(in crate::rwlock) fn withdraw_write(&self, stage: WriterStage) {
        let has_turn = match stage {
            WriterStage::Turn => self.withdraw(Stop::Interrupted, Deadline::NEVER).is_ok(),
            _ => {
                let request = &self.memory.my_words().request;
                request.store(NOT_REQUESTED, Ordering::Relaxed);
                true
            }
        };
        if has_turn {
            self.unlock_write();
        }
    }
}
