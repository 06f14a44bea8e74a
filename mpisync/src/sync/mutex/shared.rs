//! A mutex that the threads of a rank share.

use crate::error::{CreateError, LockError};
use crate::object::accessors;
use crate::plain::Plain;
use crate::rwlock::shared::held;
use crate::rwlock::shared::turns::{ThreadTurn, ThreadTurns, TimeLimit};
use crate::sync::mutex::{Mutex, MutexGuard};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

/// A mutex that several threads of this rank use at the same time. One thread of one rank has the lock.
///
/// Made by [`Mutex::shared`], which it borrows. Threads borrow the shared mutex: in
/// [`std::thread::scope`], or in a parallel iterator.
///
/// ```
/// use mpisync::Mutex;
///
/// let mut total = Mutex::local_with(0_u64);
/// let shared = total.shared()?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| *shared.lock() += 1);
///     }
/// });
/// drop(shared);
/// assert_eq!(*total.lock(), 4);
/// # Ok::<(), mpisync::CreateError>(())
/// ```
///
/// The threads of a rank take turns in the order of their calls, and the one whose turn it is queues for the
/// lock as the rank. So a rank with many threads does not get the lock more often than one with a single
/// thread: between two threads of a rank, the ranks that wait have the lock.
///
/// To lock while the same thread has a guard is [`LockError::HeldByThread`], because it would wait for
/// itself. A [`Condvar`](crate::Condvar) needs a [`MutexGuard`], which no thread has meanwhile.
pub struct SharedMutex<'a, T: Plain = ()> {
    mutex: &'a Mutex<T>,
    turns: ThreadTurns,
}

// SAFETY: only the thread that has the turn uses the mutex and its value, but for the rank, the size and the name,
// which do not change. A thread that gets the turn comes after what the one before did with it. The value is used by
// several threads, one after the other, so it is `Send`. No future is alive, since each borrows the mutex; `shared`,
// which has it mutably, has ended the waits of those that were leaked.
unsafe impl<T: Plain + Send> Send for SharedMutex<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Plain + Send> Sync for SharedMutex<'_, T> {}

/// The lock of a [`SharedMutex`], held by this thread until this guard is dropped, and access to the value.
///
/// It stays on its thread. Dropping it waits for nobody. If a panic drops it, the value stays as it was at
/// the panic. A leaked guard (`mem::forget`) keeps the lock until the shared mutex is dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`"]
pub struct SharedMutexGuard<'a, T: Plain = ()> {
    // In this order: the lock is released before the turn passes on.
    guard: MutexGuard<'a, T>,
    _noted: Noted,
    _turn: ThreadTurn<'a>,
}

/// That this thread has the guard of the mutex with this number.
struct Noted(u64);

impl Drop for Noted {
    fn drop(&mut self) {
        held::leave_only(self.0);
    }
}

impl<T: Plain> Mutex<T> {
    /// Lets the threads of this rank use the mutex together, as long as the result lives. Local: other ranks
    /// may do so or not.
    ///
    /// # Errors
    /// [`CreateError::SharedByThreads`] if the communicator spans nodes and MPI was not initialized with
    /// `MPI_THREAD_MULTIPLE`.
    pub fn shared(&mut self) -> Result<SharedMutex<'_, T>, CreateError> {
        self.forget_leaked_guard();
        self.base.object.check_threads()?;
        Ok(SharedMutex {
            mutex: self,
            turns: ThreadTurns::new(),
        })
    }
}

impl<T: Plain> SharedMutex<'_, T> {
    /// Takes the lock. Waits while another thread of any rank has it, or has asked for it before. Not
    /// collective.
    ///
    /// # Panics
    /// Where [`lock_timeout`](Self::lock_timeout) with [`Duration::MAX`] would return an error.
    #[track_caller]
    pub fn lock(&self) -> SharedMutexGuard<'_, T> {
        self.lock_within(None)
            .unwrap_or_else(|error| self.mutex.object().panic_with(&error))
    }

    /// Takes the lock if no thread of any rank has it or waits for it. Not collective. Does not wait, except
    /// for one round trip if the root is on another node.
    ///
    /// # Panics
    /// If this thread has the guard, a rank died while it held the lock, or MPI is finalized.
    #[track_caller]
    pub fn try_lock(&self) -> Option<SharedMutexGuard<'_, T>> {
        self.try_lock_now()
            .unwrap_or_else(|error| self.mutex.object().panic_with(&error))
    }

    /// Takes the lock. Waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to wait indefinitely
    /// and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::HeldByThread`], [`LockError::Timeout`], [`LockError::HolderDied`],
    /// [`LockError::HolderEnded`], [`LockError::Finalized`]. After a death, [`Mutex::take_over`] repairs the
    /// mutex; for that the shared mutex has to end.
    #[track_caller]
    pub fn lock_timeout(&self, limit: Duration) -> Result<SharedMutexGuard<'_, T>, LockError> {
        self.lock_within(Some(limit))
    }

    accessors!(mutex.base.object);

    #[track_caller]
    fn lock_within(&self, limit: Option<Duration>) -> Result<SharedMutexGuard<'_, T>, LockError> {
        self.check_may_lock()?;
        let limit = TimeLimit::new(limit);
        let object = self.mutex.object();
        let turn = self.turns.take(object, "lock", limit, Location::caller())?;
        self.check_released();
        let grant = self.mutex.base.acquire("lock", 1, limit.left());
        let grant = grant.map_err(|error| limit.of_call(error))?;
        Ok(self.guard(self.mutex.guard(grant), turn))
    }

    #[track_caller]
    fn try_lock_now(&self) -> Result<Option<SharedMutexGuard<'_, T>>, LockError> {
        self.check_may_lock()?;
        let Some(turn) = self.turns.try_take() else {
            return Ok(None);
        };
        self.check_released();
        let grant = self.mutex.base.try_acquire(1)?;
        Ok(grant.map(|grant| self.guard(self.mutex.guard(grant), turn)))
    }

    fn check_may_lock(&self) -> Result<(), LockError> {
        self.mutex.object().check_usable()?;
        match held::holds(self.turns.number()) {
            true => Err(LockError::HeldByThread),
            false => Ok(()),
        }
    }

    /// With the turn, which passes on after the lock was released.
    fn check_released(&self) {
        debug_assert_eq!(self.mutex.base.held(), 0, "the thread before has the lock");
    }

    fn guard<'g>(
        &'g self,
        guard: MutexGuard<'g, T>,
        turn: ThreadTurn<'g>,
    ) -> SharedMutexGuard<'g, T> {
        let number = self.turns.number();
        held::note_write(number);
        SharedMutexGuard {
            guard,
            _noted: Noted(number),
            _turn: turn,
        }
    }
}

impl<T: Plain> Drop for SharedMutex<'_, T> {
    fn drop(&mut self) {
        // No guard is alive, because each borrows this.
        self.mutex.release_leaked();
    }
}

impl<T: Plain> SharedMutexGuard<'_, T> {
    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.guard.rank()
    }
}

impl<T: Plain> Deref for SharedMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: Plain> DerefMut for SharedMutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: Plain> fmt::Debug for SharedMutex<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mutex
            .object()
            .show(f, "SharedMutex")
            .finish_non_exhaustive()
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for SharedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedMutexGuard").field(&**self).finish()
    }
}

impl<T: Plain + fmt::Display> fmt::Display for SharedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
