//! A controller that the threads of a rank share.
//!
//! The threads of a rank exclude each other on this rank (`queue` for writers), and the rank excludes others
//! as before: to the lock of the node a rank is one writer. Readers count themselves on several cache lines
//! of the rank in the lock's memory (`readers`), where a writer of any rank looks, so a reader does what a
//! rank with one thread does, and no two of them need a common line. `held` notes what a thread has, so
//! that it can read again while a writer waits.

pub(crate) mod guard;
pub(crate) mod held;
pub(crate) mod lock;
pub(crate) mod queue;
pub(crate) mod readers;
pub(crate) mod turns;

use crate::error::{CreateError, LockError};
use crate::object::accessors;
use crate::rwlock::controller::WindowController;
use crate::rwlock::shared::guard::{SharedReadGuard, SharedWriteGuard};
pub(super) use crate::rwlock::shared::lock::SharedLock;
use crate::shm::waiting::records::SeveralThreads;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A controller that several threads of this rank use at the same time. Many threads and ranks read
/// together; one thread of one rank writes.
///
/// Made by [`WindowController::shared`], which it borrows. So the collective calls stay with the
/// [`WindowController`], which does not leave its thread, and cannot be made while threads may have
/// guards. Threads borrow the shared controller: in [`std::thread::scope`], or in a parallel iterator.
///
/// ```
/// use mpisync::prelude::*;
///
/// let mut ctrl = WindowController::local();
/// let shared = ctrl.shared()?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             {
///                 let _reading = shared.read(); // many threads of many ranks
///             }
///             {
///                 let _writing = shared.write(); // one thread of one rank, and no reader
///             }
///         });
///     }
/// });
/// # Ok::<(), mpisync::CreateError>(())
/// ```
///
/// A waiting writer keeps new readers out, whichever threads and ranks they are, and the readers that
/// wait get a turn after a bounded run of writers. The writers of a rank come in the order of their
/// calls.
///
/// What a thread holds is counted: it may read while it reads or writes. To write while it has a guard
/// is [`LockError::HeldByThread`], because it would wait for itself.
pub struct SharedController<'a> {
    lock: SharedLock<'a>,
    /// By this number threads note what they hold.
    number: u64,
    _several: SeveralThreads,
}

impl WindowController {
    /// Lets the threads of this rank use the controller together, as long as the result lives. Local:
    /// other ranks may do so or not.
    ///
    /// Say how many threads that are when the controller is made ([`Builder::threads`]). Otherwise
    /// all threads of a rank that read count themselves on one cache line, which is correct and slow.
    ///
    /// On one node the threads take locks at every thread level of MPI. Below `MPI_THREAD_MULTIPLE` a
    /// waiting thread that has made no object calls no MPI, so it does not help MPI to make progress.
    ///
    /// # Errors
    /// [`CreateError::SharedByThreads`] if the communicator spans nodes and MPI was not initialized with
    /// `MPI_THREAD_MULTIPLE`.
    ///
    #[cfg_attr(feature = "mpi", doc = "[`Builder::threads`]: crate::Builder::threads")]
    #[cfg_attr(
        not(feature = "mpi"),
        doc = "[`Builder::threads`]: WindowController::shared"
    )]
    pub fn shared(&mut self) -> Result<SharedController<'_>, CreateError> {
        self.object().check_threads()?;
        self.end_leaked_call();
        Ok(SharedController::new(self.lock().share()))
    }
}

impl<'a> SharedController<'a> {
    fn new(lock: SharedLock<'a>) -> Self {
        SharedController {
            lock,
            number: held::new_number(),
            _several: SeveralThreads::begin(),
        }
    }

    /// Takes the read lock; waits while a thread of any rank writes or waits to write. Not collective.
    /// A second guard of the same thread only increments a counter.
    ///
    /// # Panics
    /// If [`read_timeout`](Self::read_timeout) would return an error.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> SharedReadGuard<'_> {
        self.lock_read(None)
            .unwrap_or_else(|error| self.panic_with(&error))
    }

    /// Takes the write lock; waits until no other thread of any rank writes or reads. Not collective.
    ///
    /// # Panics
    /// If [`write_timeout`](Self::write_timeout) would return an error.
    #[track_caller]
    pub fn write(&self) -> SharedWriteGuard<'_> {
        self.lock_write(None)
            .unwrap_or_else(|error| self.panic_with(&error))
    }

    /// Runs `read` under the read lock and returns its value. Not collective; waits as
    /// [`read`](Self::read) does.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let mut ctrl = WindowController::local();
    /// # let shared = ctrl.shared()?;
    /// let rank = shared.read_with(|guard| guard.rank());
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    ///
    /// # Panics
    /// If `read` does, and as [`read`](Self::read).
    #[track_caller]
    pub fn read_with<T>(&self, read: impl FnOnce(&SharedReadGuard<'_>) -> T) -> T {
        let guard = self.read();
        read(&guard)
    }

    /// Runs `write` under the write lock and returns its value. Not collective; waits as
    /// [`write`](Self::write) does.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let mut ctrl = WindowController::local();
    /// # let shared = ctrl.shared()?;
    /// shared.write_with(|guard| println!("a thread of rank {} is alone", guard.rank()));
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    ///
    /// # Panics
    /// If `write` does, and as [`write`](Self::write).
    #[track_caller]
    pub fn write_with<T>(&self, write: impl FnOnce(&mut SharedWriteGuard<'_>) -> T) -> T {
        let mut guard = self.write();
        write(&mut guard)
    }

    /// Takes the read lock if no thread of any rank writes or waits to write. Not collective, does not
    /// wait.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_read(&self) -> Option<SharedReadGuard<'_>> {
        let location = Location::caller();
        let has_lock = self.lock.try_enter_read(self.number, location);
        has_lock
            .unwrap_or_else(|error| self.panic_with(&error))
            .then(|| SharedReadGuard::new(self, location))
    }

    /// Takes the write lock if no other thread of any rank holds or wants the lock. Not collective, does
    /// not wait.
    ///
    /// # Panics
    /// If MPI is finalized, and if this thread has a guard of the controller.
    #[track_caller]
    pub fn try_write(&self) -> Option<SharedWriteGuard<'_>> {
        let location = Location::caller();
        let has_lock = self.lock.try_enter_write(self.number, location);
        has_lock
            .unwrap_or_else(|error| self.panic_with(&error))
            .then(|| SharedWriteGuard::new(self, location))
    }

    /// Takes the read lock; waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::HolderEnded`],
    /// [`LockError::Finalized`]. After a death, [`WindowController::take_over`] repairs the lock; for that
    /// the shared controller has to end.
    #[track_caller]
    pub fn read_timeout(&self, limit: Duration) -> Result<SharedReadGuard<'_>, LockError> {
        self.lock_read(Some(limit))
    }

    /// Takes the write lock; waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::HeldByThread`], and those of [`read_timeout`](Self::read_timeout).
    #[track_caller]
    pub fn write_timeout(&self, limit: Duration) -> Result<SharedWriteGuard<'_>, LockError> {
        self.lock_write(Some(limit))
    }

    accessors!(lock.object);

    #[inline]
    #[track_caller]
    fn lock_read(&self, limit: Option<Duration>) -> Result<SharedReadGuard<'_>, LockError> {
        let location = Location::caller();
        self.lock.enter_read(self.number, limit, location)?;
        Ok(SharedReadGuard::new(self, location))
    }

    #[track_caller]
    fn lock_write(&self, limit: Option<Duration>) -> Result<SharedWriteGuard<'_>, LockError> {
        let location = Location::caller();
        self.lock.enter_write(self.number, limit, location)?;
        Ok(SharedWriteGuard::new(self, location))
    }

    #[cold]
    #[track_caller]
    fn panic_with(&self, error: &LockError) -> ! {
        self.lock.object.panic_with(error)
    }
}

impl Drop for SharedController<'_> {
    fn drop(&mut self) {
        // No guard is alive, because each borrows this.
        self.lock.release_leaked();
    }
}

impl fmt::Debug for SharedController<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock
            .object
            .show(f, "SharedController")
            .finish_non_exhaustive()
    }
}
