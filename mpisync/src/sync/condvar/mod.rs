//! Waiting for what another rank changes under a mutex.

use crate::error::LockError;
use crate::object::{Object, accessors};
use crate::plain::Plain;
use crate::shm::layout::AnyLayout;
use crate::sync::base::{Base, is_endless};
use crate::sync::mutex::MutexGuard;
use crate::sync::spec::Spec;
use crate::wait_queue::OnDeath;
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::memory::WaitLayout;
use std::fmt;
use std::time::{Duration, Instant};

/// A condition that ranks of a communicator wait for under a [`Mutex`](super::Mutex), until another
/// rank says that it may hold.
///
/// Made by [`Condvar::new`] or [`Condvar::builder`], and for one process without MPI by
/// [`Condvar::local`]. Those who wait are woken in the order in which they came. No wake-up is
/// lost: a rank counts as waiting before it lets the mutex go. None is spurious either: `wait`
/// returns because a rank has notified this one, and the number that a notification returns is that
/// of the ranks it has woken. Between the wake-up and the lock another rank may have had the mutex,
/// so what was waited for may be gone again: [`wait_while`](Self::wait_while) looks.
///
/// It stays on the thread that made it. Dropping it is local.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let world = universe.world();
/// let mut step = Mutex::with_value(&world, 0u64)?;
/// let advanced = Condvar::new(&world)?;
/// if world.rank() == 0 {
///     *step.lock() += 1;
///     advanced.notify_all();
/// } else {
///     let step = advanced.wait_while(step.lock(), |step| *step == 0);
///     assert_eq!(*step, 1);
/// }
/// # Ok::<(), mpisync::CreateError>(())
/// ```
pub struct Condvar {
    base: Base,
}

/// Why a rank that waited for some time goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// Another rank has notified it; of a wait for something, that is there.
    Notified,
    /// The time was up. No notification has counted it.
    TimedOut,
}

impl Condvar {
    /// A condition of this process alone, for code that is run with and without MPI. Nobody can
    /// notify it, so waiting without a time limit is an error at once.
    ///
    /// ```should_panic
    /// use mpisync::{Condvar, Mutex};
    ///
    /// let mut ready = Mutex::local_with(0u8);
    /// Condvar::local().wait_while(ready.lock(), |ready| *ready == 0);
    /// ```
    pub fn local() -> Self {
        CondvarOf.local()
    }

    /// Lets the mutex go, waits until this rank is notified, and takes the mutex again. Not
    /// collective.
    ///
    /// # Panics
    /// Where [`wait_timeout`](Self::wait_timeout) with [`Duration::MAX`] would return an error:
    /// also on a communicator of one rank, where nobody can notify it.
    #[track_caller]
    pub fn wait<'a, T: Plain>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        match self.wait_within(guard, None) {
            Ok((guard, _)) => guard,
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    /// Waits as long as `condition` holds for the mutex's value. Not collective.
    ///
    /// # Panics
    /// Those of [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_while<'a, T: Plain>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// [`wait`](Self::wait) for `limit` at most. The mutex is taken again in any case, however long
    /// that takes.
    ///
    /// # Errors
    /// [`LockError::HolderDied`] and [`LockError::Finalized`], and [`LockError::Alone`] where
    /// `limit` never comes and the communicator has one rank. The mutex is let go then.
    #[track_caller]
    pub fn wait_timeout<'a, T: Plain>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> Result<(MutexGuard<'a, T>, Wake), LockError> {
        self.wait_within(guard, Some(limit))
    }

    /// [`wait_while`](Self::wait_while) for `limit` at most: [`Wake::TimedOut`] where `condition`
    /// still holds then.
    ///
    /// # Errors
    /// Those of [`wait_timeout`](Self::wait_timeout).
    #[track_caller]
    pub fn wait_timeout_while<'a, T: Plain>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<(MutexGuard<'a, T>, Wake), LockError> {
        let start = Instant::now();
        while condition(&mut guard) {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok((guard, Wake::TimedOut));
            }
            (guard, _) = self.wait_within(guard, Some(left))?;
        }
        Ok((guard, Wake::Notified))
    }

    #[track_caller]
    fn wait_within<'a, T: Plain>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Option<Duration>,
    ) -> Result<(MutexGuard<'a, T>, Wake), LockError> {
        if self.base.is_alone() && is_endless(limit) {
            return Err(LockError::Alone);
        }
        let mutex = guard.mutex();
        // In the line before the mutex is free.
        let place = self.base.join()?;
        drop(guard);
        let wake = match self.base.wait_at(place, limit) {
            Ok(()) => Wake::Notified,
            Err(LockError::Timeout { .. }) => Wake::TimedOut,
            Err(error) => return Err(error),
        };
        Ok((mutex.lock_shared()?, wake))
    }

    /// Wakes the rank that has waited longest; whether there was one, 0 or 1. Not collective. The
    /// mutex may be held or not.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn notify_one(&self) -> u32 {
        self.notify(1)
    }

    /// Wakes all ranks that wait when it is called; how many there were. Not collective.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn notify_all(&self) -> u32 {
        self.notify(u32::MAX)
    }

    /// Wakes up to `most` ranks, those that have waited longest; how many there were. Not
    /// collective.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn notify(&self, most: u32) -> u32 {
        match self.base.wake(most) {
            Ok(woken) => woken,
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    accessors!(root, base.object; |this| this.base.release_leaked(|| None));
}

/// A condition to be made.
#[non_exhaustive]
#[derive(Debug)]
pub struct CondvarOf;

impl Spec for CondvarOf {
    type Made = Condvar;
    const KIND: &'static str = "condition";

    fn layout(&self, root: i32) -> AnyLayout {
        AnyLayout::new(WaitLayout {
            root,
            permits: 0,
            cargo: Cargo::Nothing,
        })
    }

    fn make(self, object: Object) -> Condvar {
        Condvar {
            base: Base::new(object, OnDeath::Release, Cargo::Nothing),
        }
    }
}

/// Who waits, in order, where the root is on this node; a snapshot that may be out of date.
impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.base.object.show(f, "Condvar");
        self.base.show(&mut fields);
        fields.finish_non_exhaustive()
    }
}
