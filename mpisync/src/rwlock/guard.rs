//! Guards: the lock is held as long as they live.

use crate::error::LockError;
use crate::rwlock::state::LockState;
use std::fmt;
use std::mem;
use std::time::Duration;

/// The read lock of a controller, held until this guard is dropped. Many ranks may hold one at the
/// same time.
///
/// Dropping it stores one word and talks to nobody. `let _ = ctrl.read();` drops it at once: give
/// it a name, or use [`read_with`](crate::WindowController::read_with). With
/// `#![deny(let_underscore_drop)]` the compiler refuses the former.
///
/// A guard that is leaked (`mem::forget`) keeps the lock until this rank's next call that borrows
/// the controller mutably, or until the controller is closed or dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`, or use `read_with`"]
pub struct ReadGuard<'a> {
    lock: &'a LockState,
}

/// The write lock of a controller, held until this guard is dropped. No other rank holds any lock
/// of the controller in the meantime.
///
/// Dropping it stores two words and talks to nobody. `let _ = ctrl.write();` drops it at once: give
/// it a name, or use [`write_with`](crate::WindowController::write_with). With
/// `#![deny(let_underscore_drop)]` the compiler refuses the former.
///
/// A guard that is leaked (`mem::forget`) keeps the lock until this rank's next call that borrows
/// the controller mutably, or until the controller is closed or dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`, or use `write_with`"]
pub struct WriteGuard<'a> {
    lock: &'a LockState,
}

impl<'a> ReadGuard<'a> {
    #[inline]
    pub(crate) fn enter(lock: &'a LockState, limit: Option<Duration>) -> Result<Self, LockError> {
        lock.enter_read(limit)?;
        Ok(ReadGuard { lock })
    }

    /// None where the lock is not free.
    #[inline]
    pub(crate) fn try_enter(lock: &'a LockState) -> Result<Option<Self>, LockError> {
        Ok(lock.try_enter_read()?.then(|| ReadGuard { lock }))
    }

    /// Gives the read lock back and takes the write lock. Not collective; waits until all readers
    /// have left.
    ///
    /// The lock is let go in between, so another rank may write first: what was read under this
    /// guard may have changed, and that is why the guard is consumed.
    ///
    /// # Errors
    /// [`UpgradeError::Shared`] with the guard when this rank has other guards of the controller,
    /// for which the upgrade would wait for ever; [`UpgradeError::Lock`] when the write lock cannot
    /// be had.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// let ctrl = WindowController::local();
    /// let reading = ctrl.read();
    /// let writing = reading.upgrade().expect("this rank holds no other guard");
    /// let _reading = writing.downgrade();
    /// ```
    pub fn upgrade(self) -> Result<WriteGuard<'a>, UpgradeError<'a>> {
        let lock = self.lock;
        if !lock.holds_one_read() {
            return Err(UpgradeError::Shared(self));
        }
        drop(self);
        WriteGuard::enter(lock, None).map_err(UpgradeError::Lock)
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.lock.object().rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.lock.object().size()
    }

    /// The name of the controller.
    pub fn name(&self) -> &str {
        self.lock.object().name()
    }
}

impl<'a> WriteGuard<'a> {
    /// Where no guard of this rank is alive.
    #[inline]
    pub(crate) fn enter(lock: &'a LockState, limit: Option<Duration>) -> Result<Self, LockError> {
        lock.enter_write(limit)?;
        Ok(WriteGuard { lock })
    }

    /// None where the lock is not free. Where no guard of this rank is alive.
    pub(crate) fn try_enter(lock: &'a LockState) -> Result<Option<Self>, LockError> {
        Ok(lock.try_enter_write()?.then(|| WriteGuard { lock }))
    }

    /// A guard of a rank that has the write lock already.
    #[inline]
    pub(crate) fn enter_again(lock: &'a LockState) -> Self {
        lock.enter_write_again();
        WriteGuard { lock }
    }

    /// A read guard inside this write lock, for code that asks for one. Costs a count in this
    /// process.
    pub fn read(&self) -> ReadGuard<'_> {
        ReadGuard::enter(self.lock, None)
            .unwrap_or_else(|error| self.lock.object().panic_with(&error))
    }

    /// A write guard inside this write lock, for code that asks for one. Costs a count in this
    /// process.
    pub fn write(&mut self) -> WriteGuard<'_> {
        WriteGuard::enter_again(self.lock)
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
    pub fn rank(&self) -> i32 {
        self.lock.object().rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.lock.object().size()
    }

    /// The name of the controller.
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

/// Why a [`ReadGuard`] could not be upgraded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError<'a> {
    /// This rank has other guards of the same controller; here is the guard back.
    #[error("this rank holds other guards of the controller; drop them before the upgrade")]
    Shared(ReadGuard<'a>),
    /// The write lock cannot be had; the read lock is gone.
    #[error(transparent)]
    Lock(LockError),
}
