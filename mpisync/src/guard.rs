//! Guards: the lock is held as long as they live.

use crate::controller::WindowController;
use crate::error::LockError;
use std::fmt;
use std::mem;

/// The read lock of a controller, held until this guard is dropped. Many ranks may hold one at the same time.
///
/// Dropping it stores one word and talks to nobody. `let _ = ctrl.read();` drops it at once: give it a name, or use
/// [`read_with`](WindowController::read_with). With `#![deny(let_underscore_drop)]` the compiler refuses the former.
///
/// A guard that is leaked (`mem::forget`) keeps the lock until this rank's next call that borrows the controller mutably,
/// or until the controller is closed or dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`, or use `read_with`"]
pub struct ReadGuard<'a> {
    controller: &'a WindowController,
}

/// The write lock of a controller, held until this guard is dropped. No other rank holds any lock of the controller
/// in the meantime.
///
/// Dropping it stores two words and talks to nobody. `let _ = ctrl.write();` drops it at once: give it a name, or use
/// [`write_with`](WindowController::write_with). With `#![deny(let_underscore_drop)]` the compiler refuses the former.
///
/// A guard that is leaked (`mem::forget`) keeps the lock until this rank's next call that borrows the controller mutably,
/// or until the controller is closed or dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`, or use `write_with`"]
pub struct WriteGuard<'a> {
    controller: &'a WindowController,
}

impl<'a> ReadGuard<'a> {
    /// Only for a controller that has just entered as a reader.
    pub(crate) fn new(controller: &'a WindowController) -> Self {
        ReadGuard { controller }
    }

    /// Gives the read lock back and takes the write lock. Not collective; waits until all readers have left.
    ///
    /// The lock is let go in between, so another rank may write first: what was read under this guard may have
    /// changed, and that is why the guard is consumed.
    ///
    /// # Errors
    /// [`UpgradeError::Shared`] with the guard when this rank has other guards of the controller, for which the
    /// upgrade would wait for ever; [`UpgradeError::Lock`] when the write lock cannot be had.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// let ctrl = WindowController::local();
    /// let reading = ctrl.read();
    /// let writing = reading.upgrade().expect("this rank holds no other guard");
    /// let _reading = writing.downgrade();
    /// ```
    pub fn upgrade(self) -> Result<WriteGuard<'a>, UpgradeError<'a>> {
        let controller = self.controller;
        if !controller.holds_one_read() {
            return Err(UpgradeError::Shared(self));
        }
        drop(self);
        controller.enter_write(None).map_err(UpgradeError::Lock)
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.controller.rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.controller.size()
    }

    /// The name of the controller.
    pub fn name(&self) -> &str {
        self.controller.name()
    }
}

impl<'a> WriteGuard<'a> {
    /// Only for a controller that has just entered as a writer.
    pub(crate) fn new(controller: &'a WindowController) -> Self {
        WriteGuard { controller }
    }

    /// A read guard inside this write lock, for code that asks for one. Costs a count in this process.
    pub fn read(&self) -> ReadGuard<'_> {
        self.controller.read()
    }

    /// A write guard inside this write lock, for code that asks for one. Costs a count in this process.
    pub fn write(&mut self) -> WriteGuard<'_> {
        self.controller.enter_write_again()
    }

    /// Turns the write lock into a read lock; no other rank writes in between. Not collective, does not wait.
    pub fn downgrade(self) -> ReadGuard<'a> {
        let controller = self.controller;
        mem::forget(self);
        controller.leave_write_for_read()
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.controller.rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.controller.size()
    }

    /// The name of the controller.
    pub fn name(&self) -> &str {
        self.controller.name()
    }
}

impl Drop for ReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.controller.leave_read();
    }
}

impl Drop for WriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.controller.leave_write();
    }
}

impl fmt::Debug for ReadGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadGuard").field(self.controller).finish()
    }
}

impl fmt::Debug for WriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteGuard").field(self.controller).finish()
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
