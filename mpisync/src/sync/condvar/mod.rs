//! Waiting for a change that another rank makes under a mutex.

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
use std::panic::Location;
use std::time::{Duration, Instant};

/// A condition variable for a [`Mutex`](super::Mutex): ranks of a communicator wait until another
/// rank notifies them.
///
/// Made by [`Condvar::new`] or [`Condvar::builder`], or for one process without MPI by
/// [`Condvar::local`]. Ranks are woken in order of arrival. No wake-up is lost: a rank counts as
/// waiting before it releases the mutex. No wake-up is spurious: `wait` returns only after a rank
/// has notified this one, and a notification returns the number of ranks it has woken. Another rank
/// may take the mutex between the wake-up and the lock and make the condition false again, so use
/// [`wait_while`](Self::wait_while), which checks it.
///
/// A condition variable stays on the thread that made it. Dropping it is local.
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

/// The reason why a wait with a time limit has returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// Another rank has notified this one. From
    /// [`wait_timeout_while`](Condvar::wait_timeout_while): the condition does not hold any more.
    Notified,
    /// The time limit passed. From [`wait_timeout`](Condvar::wait_timeout): no notification has
    /// counted this rank.
    TimedOut,
}

impl Condvar {
    /// Makes a condition variable for this process alone, for code that runs with and without MPI.
    /// No other rank can notify it, so waiting without a time limit fails at once.
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

    /// Releases the mutex, waits until this rank is notified, and takes the mutex again. Not
    /// collective.
    ///
    /// # Panics
    /// Where [`wait_timeout`](Self::wait_timeout) with [`Duration::MAX`] would return an error,
    /// such as if no rank is left that could notify this one.
    #[track_caller]
    pub fn wait<'a, T: Plain>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        match self.wait_within(guard, None) {
            Ok((guard, _)) => guard,
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    /// Waits while `condition` returns true for the value of the mutex. Not collective.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
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

    /// Like [`wait`](Self::wait), but waits for at most `limit`. The mutex is taken again in any
    /// case, however long that takes. Not collective.
    ///
    /// # Errors
    /// [`LockError::HolderDied`], [`LockError::HolderEnded`], [`LockError::Finalized`], and, if
    /// `limit` never expires, [`LockError::Alone`]: no rank is left that could notify this one. The
    /// mutex is released then.
    #[track_caller]
    pub fn wait_timeout<'a, T: Plain>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> Result<(MutexGuard<'a, T>, Wake), LockError> {
        self.wait_within(guard, Some(limit))
    }

    /// Like [`wait_while`](Self::wait_while), but waits for at most `limit`. Returns
    /// [`Wake::TimedOut`] if `condition` still holds then. Not collective.
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
        // Joined before the mutex is released, so that no notification is lost.
        let position = self.base.join(is_endless(limit))?;
        drop(guard);
        let wake = match self.base.wait_at(position, limit) {
            Ok(()) => Wake::Notified,
            Err(LockError::Timeout { .. }) => Wake::TimedOut,
            Err(error) => return Err(error),
        };
        Ok((mutex.lock_shared()?, wake))
    }

    /// Wakes the rank that has waited longest. Returns the number of woken ranks, 0 or 1. The
    /// caller may hold the mutex, but need not. Not collective.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn notify_one(&self) -> u32 {
        self.notify(1)
    }

    /// Wakes all ranks that wait at the time of the call. Returns their number. Not collective.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn notify_all(&self) -> u32 {
        self.notify(u32::MAX)
    }

    /// Wakes the `most` ranks that have waited longest, or all if fewer wait. Returns the number of
    /// woken ranks. Not collective.
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

    /// Makes the condition usable again if a rank has died in the middle of a change of its words, which
    /// is all that can poison it: others get [`LockError::HolderDied`] from then on. Not collective;
    /// any rank may call it. Returns whether there was a death to clear. Waits until the ranks that
    /// wait have got the error.
    ///
    /// # Errors
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn clear_poison(&self) -> Result<bool, LockError> {
        self.base.clear_poison(Location::caller())
    }

    accessors!(root, base.object; |this| this.base.release_leaked(|| None));
}

/// The arguments of a [`Condvar`].
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

/// Shows the waiters in order, if the root is on this node; a snapshot that may be out of date.
impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.base.object.show(f, "Condvar");
        self.base.show(&mut fields);
        fields.finish_non_exhaustive()
    }
}
