//! The guards of a controller, which hold its lock while they live.

use crate::error::LockError;
use crate::rwlock::state::LockState;
use std::fmt;
use std::mem;

/// The read lock of a controller, held until this guard is dropped. Many ranks may hold one at the
/// same time.
///
/// Dropping it stores one word and sends no message. `let _ = ctrl.read();` drops it at once: give
/// it a name, or use [`read_with`](crate::WindowController::read_with). With
/// `#![deny(let_underscore_drop)]` the former is a compile error.
///
/// A leaked guard (`mem::forget`) keeps the lock until this rank's next call that borrows the
/// controller mutably, or until the controller is closed or dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`, or use `read_with`"]
pub struct ReadGuard<'a> {
    lock: &'a LockState,
}

/// The write lock of a controller, held until this guard is dropped. No other rank holds a lock of
/// the controller in the meantime.
///
/// Dropping it waits for no other rank. `let _ = ctrl.write();` drops it at once: give it a name, or
/// use [`write_with`](crate::WindowController::write_with). With `#![deny(let_underscore_drop)]` the
/// former is a compile error.
///
/// A leaked guard (`mem::forget`) keeps the lock until this rank's next call that borrows the
/// controller mutably, or until the controller is closed or dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`, or use `write_with`"]
pub struct WriteGuard<'a> {
    lock: &'a LockState,
}

impl<'a> ReadGuard<'a> {
    /// The guard of a rank that has entered as a reader.
    #[inline]
    pub(super) fn new(lock: &'a LockState) -> Self {
        ReadGuard { lock }
    }

    /// Releases the read lock and takes the write lock. Not collective; waits until no other rank
    /// writes or reads.
    ///
    /// The lock is free in between, so another rank may write first. The guard is consumed because
    /// the data that was read under it may have changed.
    ///
    /// # Errors
    /// [`UpgradeError::Shared`], with the guard, if this rank has other guards of the controller:
    /// the upgrade would wait for them forever. [`UpgradeError::Lock`] if the write lock is not
    /// available.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// let ctrl = WindowController::local();
    /// let reading = ctrl.read();
    /// let writing = reading.upgrade().expect("this rank holds no other guard");
    /// let _reading = writing.downgrade();
    /// ```
    #[track_caller]
    pub fn upgrade(self) -> Result<WriteGuard<'a>, UpgradeError<'a>> {
        let lock = self.lock;
        if !lock.holds_one_read() {
            return Err(UpgradeError::Shared(self));
        }
        drop(self);
        lock.enter_write(None).map_err(UpgradeError::Lock)?;
        Ok(WriteGuard { lock })
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.lock.object().rank()
    }

    /// The number of ranks in the communicator.
    #[inline]
    pub fn size(&self) -> i32 {
        self.lock.object().size()
    }

    /// The name of the controller.
    #[inline]
    pub fn name(&self) -> &str {
        self.lock.object().name()
    }
}

impl<'a> WriteGuard<'a> {
    /// The guard of a rank that has entered as a writer.
    #[inline]
    pub(super) fn new(lock: &'a LockState) -> Self {
        WriteGuard { lock }
    }

    /// Another guard of a rank that has the write lock.
    #[inline]
    pub(crate) fn again(lock: &'a LockState) -> Self {
        lock.enter_write_again();
        WriteGuard { lock }
    }

    /// Returns a read guard inside this write lock, for code that needs one. Only increments a
    /// counter.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn read(&self) -> ReadGuard<'_> {
        let entered = self.lock.enter_read(None);
        entered.unwrap_or_else(|error| self.lock.object().panic_with(&error));
        ReadGuard { lock: self.lock }
    }

    /// Returns a write guard inside this write lock, for code that needs one. Only increments a
    /// counter.
    pub fn write(&mut self) -> WriteGuard<'_> {
        WriteGuard::again(self.lock)
    }

    /// Turns the write lock into a read lock; no other rank writes in between. Not collective, does
    /// not wait.
    pub fn downgrade(self) -> ReadGuard<'a> {
        let lock = self.lock;
        mem::forget(self);
        lock.leave_write_for_read();
        ReadGuard { lock }
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.lock.object().rank()
    }

    /// The number of ranks in the communicator.
    #[inline]
    pub fn size(&self) -> i32 {
        self.lock.object().size()
    }

    /// The name of the controller.
    #[inline]
    pub fn name(&self) -> &str {
        self.lock.object().name()
    }
}

impl Drop for ReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.leave_read();
    }
}

impl Drop for WriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.leave_write();
    }
}

impl fmt::Debug for ReadGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadGuard").field(self.lock).finish()
    }
}

impl fmt::Debug for WriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteGuard").field(self.lock).finish()
    }
}

/// Why a [`ReadGuard`] was not upgraded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError<'a> {
    /// This rank has other guards of the same controller. Contains the guard.
    #[error("this rank holds other guards of the controller; drop them before the upgrade")]
    Shared(ReadGuard<'a>),
    /// The write lock is not available. The read lock is released.
    #[error(transparent)]
    Lock(LockError),
}
