//! The guards of a controller that threads share.

use crate::rwlock::shared::SharedController;
use crate::span::{Activity, Hold};
use std::fmt;
use std::panic::Location;

/// The read lock of a [`SharedController`], held by this thread until the guard is dropped. Many threads
/// of many ranks may hold one at the same time.
///
/// It stays on its thread. Dropping it sends no message. A leaked guard (`mem::forget`) keeps the lock
/// until the shared controller is dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`, or use `read_with`"]
pub struct SharedReadGuard<'a> {
    ctrl: &'a SharedController<'a>,
    hold: Hold,
}

/// The write lock of a [`SharedController`], held by this thread until the guard is dropped. No other
/// thread of any rank holds a lock of the controller in the meantime.
///
/// It stays on its thread. Dropping it waits for nobody. A leaked guard (`mem::forget`) keeps the lock
/// until the shared controller is dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`, or use `write_with`"]
pub struct SharedWriteGuard<'a> {
    ctrl: &'a SharedController<'a>,
    hold: Hold,
}

impl<'a> SharedReadGuard<'a> {
    /// The guard of a thread that has entered as a reader.
    #[inline]
    pub(super) fn new(
        ctrl: &'a SharedController<'a>,
        location: &'static Location<'static>,
    ) -> Self {
        let hold = hold(ctrl, Activity::Read, location);
        SharedReadGuard { ctrl, hold }
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.ctrl.rank()
    }

    /// The number of ranks in the communicator.
    #[inline]
    pub fn size(&self) -> i32 {
        self.ctrl.size()
    }
}

impl<'a> SharedWriteGuard<'a> {
    /// The guard of a thread that has entered as a writer.
    pub(super) fn new(
        ctrl: &'a SharedController<'a>,
        location: &'static Location<'static>,
    ) -> Self {
        let hold = hold(ctrl, Activity::Write, location);
        SharedWriteGuard { ctrl, hold }
    }

    /// Turns the write lock into a read lock; no other thread of any rank writes in between. Not
    /// collective, does not wait.
    #[track_caller]
    pub fn downgrade(self) -> SharedReadGuard<'a> {
        let ctrl = self.ctrl;
        // This thread has a guard, so this one only counts. The lock stays for it when `self` is dropped.
        let reading = ctrl.read();
        drop(self);
        reading
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.ctrl.rank()
    }

    /// The number of ranks in the communicator.
    #[inline]
    pub fn size(&self) -> i32 {
        self.ctrl.size()
    }
}

/// Begins the span of a guard, if somebody observes.
#[inline]
fn hold(
    ctrl: &SharedController<'_>,
    activity: Activity,
    location: &'static Location<'static>,
) -> Hold {
    let hold = Hold::default();
    hold.begin(|| ctrl.lock.object.block().holds(activity, Some(location)));
    hold
}

impl Drop for SharedReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let _ended = self.hold.end();
        self.ctrl.lock.leave_read(self.ctrl.number);
    }
}

impl Drop for SharedWriteGuard<'_> {
    fn drop(&mut self) {
        let _ended = self.hold.end();
        self.ctrl.lock.leave_write(self.ctrl.number);
    }
}

impl fmt::Debug for SharedReadGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedReadGuard").field(self.ctrl).finish()
    }
}

impl fmt::Debug for SharedWriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedWriteGuard").field(self.ctrl).finish()
    }
}
