//! The lock of a controller, as the threads of a rank use it together.

use crate::error::LockError;
use crate::object::ObjectParts;
use crate::rwlock::awaited::OwnThreads;
use crate::rwlock::global::lock::GlobalLock;
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::NodeLock;
use crate::rwlock::shared::held;
use crate::rwlock::shared::held::Release;
use crate::rwlock::shared::readers::WaitingReaders;
use crate::shm::atomic::Ordering;
use crate::shm::block::Block;
use crate::shm::wait::{Deadline, Stop};
use crate::shm::waiting::{Awaited, BlockSubject, Call, Needs};
use std::mem;
use std::panic::Location;
use std::time::Duration;

/// The parts of a [`LockState`](crate::rwlock::state::LockState) that threads share.
#[derive(Clone, Copy)]
pub(crate) struct SharedLock<'a> {
    pub(in crate::rwlock) object: &'a ObjectParts,
    pub(in crate::rwlock) node: &'a NodeLock<LockMemory>,
    pub(in crate::rwlock) global: Option<&'a GlobalLock>,
    pub(in crate::rwlock) waiting_readers: &'a WaitingReaders,
}

/// `controller` is the number by which a thread notes what it holds.
impl SharedLock<'_> {
    /// Enters as a reader, or once more if this thread has a guard.
    #[inline]
    pub(super) fn enter_read(
        &self,
        controller: u64,
        limit: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Result<(), LockError> {
        self.object.check_usable()?;
        let Err(thread) = held::read_again(controller) else {
            return Ok(());
        };
        let call = || Call::new(self, "read", location);
        let mine = self.counter_of(thread);
        let counter = self
            .waiting_readers
            .read(self.node, mine, || Deadline::within(limit).of(call()))
            .map_err(|stop| self.object.lock_error(stop, limit, call()))?;
        self.note_reader(controller, counter, location);
        Ok(())
    }

    /// Enters as a reader if no rank has or wants to write. Returns whether this thread has the lock.
    pub(super) fn try_enter_read(
        &self,
        controller: u64,
        location: &'static Location<'static>,
    ) -> Result<bool, LockError> {
        self.object.check_usable()?;
        let Err(thread) = held::read_again(controller) else {
            return Ok(true);
        };
        let counter = self.counter_of(thread);
        let has_lock = self.node.try_read_as_thread(counter);
        if has_lock {
            self.note_reader(controller, counter, location);
        }
        Ok(has_lock)
    }

    /// Enters as a writer.
    pub(super) fn enter_write(
        &self,
        controller: u64,
        limit: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Result<(), LockError> {
        self.check_may_write(controller)?;
        let call = || Call::new(self, "write", location);
        let deadline = Deadline::within(limit).of(call());
        self.lock_write(deadline)
            .map_err(|stop| self.object.lock_error(stop, limit, call()))?;
        self.note_writer(controller, location);
        Ok(())
    }

    /// Enters as a writer if the lock is free. Returns whether this thread has it.
    pub(super) fn try_enter_write(
        &self,
        controller: u64,
        location: &'static Location<'static>,
    ) -> Result<bool, LockError> {
        self.check_may_write(controller)?;
        if !self.node.memory.writers.try_take() {
            return Ok(false);
        }
        let turn = Turn(self);
        let has_lock = match self.global {
            Some(global) => global.try_write(self.borrowed()),
            None => self.node.try_write(),
        };
        if has_lock {
            turn.keep();
            self.note_writer(controller, location);
        }
        Ok(has_lock)
    }

    /// Leaves as a reader, if this thread has no other guard.
    #[inline]
    pub(super) fn leave_read(&self, controller: u64) {
        if let Release::Read(counter) = held::leave_read(controller) {
            self.node.unlock_read_as_thread(counter);
        }
    }

    /// Leaves as a writer. This thread stays as a reader if it has a guard to read.
    pub(super) fn leave_write(&self, controller: u64) {
        let counter = self.counter_of(held::number_of_thread());
        match held::leave_write(controller, counter) {
            Release::Downgrade => self.downgrade(counter),
            _ => self.unlock_write(),
        }
    }

    /// Releases what leaked guards hold. No guard of any thread is alive.
    pub(in crate::rwlock) fn release_leaked(&self) {
        for counter in 0..self.node.memory.counters() {
            let count = &self.node.my_threads(counter).count;
            if count.load(Ordering::Relaxed) != 0 {
                count.swap(0, Ordering::SeqCst);
                self.node.notify_if_closed();
            }
        }
        if self.node.memory.writers.is_taken() {
            self.unlock_write();
        }
    }

    fn lock_write(&self, deadline: Deadline<'_>) -> Result<(), Stop> {
        self.node.memory.writers.take(&self.node.memory, deadline)?;
        let turn = Turn(self);
        match self.global {
            Some(global) => global.write(self.borrowed(), deadline)?,
            None => self.node.write(|| deadline)?,
        }
        turn.keep();
        Ok(())
    }

    fn unlock_write(&self) {
        let _turn = Turn(self);
        match self.global {
            Some(global) => global.unlock_write(self.borrowed()),
            None => self.node.unlock_write(),
        }
    }

    fn downgrade(&self, counter: usize) {
        let _turn = Turn(self);
        let count = &self.node.my_threads(counter).count;
        // Before the lock is released: the next writer finds it.
        let show_reader = || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        match self.global {
            Some(global) => global.downgrade_by(self.borrowed(), show_reader),
            None => {
                show_reader();
                self.node.unlock_write();
            }
        }
    }

    /// The counter of the thread with this number.
    #[inline]
    fn counter_of(&self, thread: usize) -> usize {
        // Their number is a power of two.
        thread & (self.node.memory.counters() - 1)
    }

    /// The lock of this node, for the lock across nodes.
    fn borrowed(&self) -> NodeLock<&LockMemory> {
        NodeLock {
            memory: &self.node.memory,
        }
    }

    fn check_may_write(&self, controller: u64) -> Result<(), LockError> {
        self.object.check_usable()?;
        match held::holds(controller) {
            true => Err(LockError::HeldByThread),
            false => Ok(()),
        }
    }

    #[inline]
    fn note_reader(&self, controller: u64, counter: usize, location: &'static Location<'static>) {
        self.node.my_threads(counter).held_at.set(location);
        held::note_read(controller, counter);
    }

    fn note_writer(&self, controller: u64, location: &'static Location<'static>) {
        self.node.memory.my_words().held_at.set(location);
        held::note_write(controller);
    }
}

/// The turn of a thread among those of this rank. Dropping it passes the turn on.
struct Turn<'a>(&'a SharedLock<'a>);

impl Turn<'_> {
    fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.node.memory.writers.pass_on();
    }
}

/// A wait of one thread of several. So it keeps no other wait of the rank from its end, and the rank is a part of no
/// deadlock.
impl BlockSubject for SharedLock<'_> {
    fn block(&self) -> &Block {
        self.object.block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        self.node.awaited(OwnThreads::Count)
    }

    fn needs(&self) -> Needs {
        Needs::Unknown
    }
}
