//! A semaphore that the threads of a rank share.

use crate::error::{CreateError, LockError};
use crate::object::accessors;
use crate::rwlock::shared::held;
use crate::rwlock::shared::turns::{ThreadTurns, TimeLimit};
use crate::shm::atomic::Mutex;
use crate::span::Hold;
use crate::sync::semaphore::{Semaphore, SemaphoreError};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A semaphore that several threads of this rank use at the same time: each has permits of its own.
///
/// Made by [`Semaphore::shared`], which it borrows. Threads borrow the shared semaphore: in
/// [`std::thread::scope`], or in a parallel iterator.
///
/// ```
/// use mpisync::Semaphore;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let mut licences = Semaphore::local(2)?;
/// let shared = licences.shared()?;
/// let users = AtomicU32::new(0);
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             let _permit = shared.acquire();
///             assert!(users.fetch_add(1, Ordering::Relaxed) < 2);
///             users.fetch_sub(1, Ordering::Relaxed);
///         });
///     }
/// });
/// # Ok::<(), mpisync::CreateError>(())
/// ```
///
/// The threads of a rank wait in the order of their calls, and the first of them queues for permits as the rank.
/// So a rank with many threads has one place in the queue, as one with a single thread.
///
/// A thread that would wait for permits of its own gets [`LockError::HeldByThread`].
pub struct SharedSemaphore<'a> {
    semaphore: &'a Semaphore,
    turns: ThreadTurns,
    /// Locked while a thread changes what the rank has.
    alone: Mutex<()>,
}

// SAFETY: threads use the semaphore's cells and the slot of its rank while they have locked `alone`, but for what the one
// thread that has the turn uses to wait. All else is atomic, or does not change after it was made. Nor do the cells of
// futures change: none is alive, since each borrows the semaphore, and `shared`, which has it mutably, has ended the
// waits of those that were leaked.
unsafe impl Send for SharedSemaphore<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedSemaphore<'_> {}

/// Permits of a [`SharedSemaphore`], which this thread has until this is dropped.
///
/// It stays on its thread. Dropping it waits for nobody. A leaked permit (`mem::forget`) is given back when the
/// shared semaphore is dropped.
#[must_use = "the permit goes back at once, with `let _ = …` too; write `let _permit = …`"]
pub struct SharedPermit<'a> {
    shared: &'a SharedSemaphore<'a>,
    count: u32,
    hold: Hold,
}

impl Semaphore {
    /// Lets the threads of this rank take permits together, as long as the result lives. Local: other ranks
    /// may do so or not.
    ///
    /// # Errors
    /// [`CreateError::SharedByThreads`] if the communicator spans nodes and MPI was not initialized with
    /// `MPI_THREAD_MULTIPLE`.
    pub fn shared(&mut self) -> Result<SharedSemaphore<'_>, CreateError> {
        self.base.release_leaked(|| None);
        self.base.object.check_threads()?;
        Ok(SharedSemaphore {
            semaphore: self,
            turns: ThreadTurns::new(),
            alone: Mutex::default(),
        })
    }
}

impl SharedSemaphore<'_> {
    /// Takes one permit. Waits until it is granted. Not collective.
    ///
    /// # Panics
    /// Where [`acquire_many_timeout`](Self::acquire_many_timeout) with [`Duration::MAX`] would return an error.
    #[track_caller]
    pub fn acquire(&self) -> SharedPermit<'_> {
        self.acquire_many(1)
    }

    /// Takes `count` permits at once. Waits until all of them are granted. Those that come later wait behind
    /// this thread, even for fewer permits. Not collective.
    ///
    /// # Panics
    /// Where [`acquire_many_timeout`](Self::acquire_many_timeout) with [`Duration::MAX`] would return an error.
    #[track_caller]
    pub fn acquire_many(&self, count: u32) -> SharedPermit<'_> {
        self.take(count, None)
            .unwrap_or_else(|error| self.semaphore.base.object.panic_with(&error))
    }

    /// Takes one permit. Waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to wait indefinitely
    /// and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// As [`acquire_many_timeout`](Self::acquire_many_timeout).
    #[track_caller]
    pub fn acquire_timeout(&self, limit: Duration) -> Result<SharedPermit<'_>, SemaphoreError> {
        self.take(1, Some(limit))
    }

    /// Takes `count` permits at once. Waits for at most `limit` until all of them are granted. Not collective.
    ///
    /// # Errors
    /// [`SemaphoreError::TooMany`], [`LockError::HeldByThread`], [`LockError::Timeout`],
    /// [`LockError::Finalized`], and [`LockError::HolderDied`] if a rank died while it changed the semaphore.
    #[track_caller]
    pub fn acquire_many_timeout(
        &self,
        count: u32,
        limit: Duration,
    ) -> Result<SharedPermit<'_>, SemaphoreError> {
        self.take(count, Some(limit))
    }

    /// Takes one permit if it is free and nobody waits. Not collective. Does not wait, except for one round trip
    /// if the root is on another node; then it takes none while another thread of this rank asks for some.
    ///
    /// # Panics
    /// If MPI is finalized, or a rank died while it changed the semaphore.
    #[track_caller]
    pub fn try_acquire(&self) -> Option<SharedPermit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `count` permits at once if they are free and nobody waits. Not collective. Does not wait, as
    /// [`try_acquire`](Self::try_acquire).
    ///
    /// # Panics
    /// If MPI is finalized, or a rank died while it changed the semaphore.
    #[track_caller]
    pub fn try_acquire_many(&self, count: u32) -> Option<SharedPermit<'_>> {
        let (base, location) = (&self.semaphore.base, Location::caller());
        if count > self.semaphore.most() {
            return None;
        }
        if count == 0 {
            return Some(self.permit(0, location));
        }
        let _turn = match base.is_local() {
            true => None,
            false => Some(self.turns.try_take()?),
        };
        let taken = base.try_acquire_as_thread(&self.alone, count, location);
        taken
            .unwrap_or_else(|error| base.object.panic_with(&error))
            .then(|| self.permit(count, location))
    }

    accessors!(semaphore.base.object);

    #[track_caller]
    fn take(
        &self,
        count: u32,
        limit: Option<Duration>,
    ) -> Result<SharedPermit<'_>, SemaphoreError> {
        let (base, location) = (&self.semaphore.base, Location::caller());
        let most = self.semaphore.most();
        if count > most {
            return Err(SemaphoreError::TooMany { asked: count, most });
        }
        let mine = held::permits(self.turns.number());
        if count as usize > (most as usize).saturating_sub(mine) {
            return Err(LockError::HeldByThread.into());
        }
        if count > 0 {
            let limit = TimeLimit::new(limit);
            let _turn = self.turns.take(&base.object, "acquire", limit, location)?;
            base.acquire_as_thread(&self.alone, count, limit.left(), location)
                .map_err(|error| limit.of_call(error))?;
        }
        Ok(self.permit(count, location))
    }

    fn permit(&self, count: u32, location: &'static Location<'static>) -> SharedPermit<'_> {
        held::add_permits(self.turns.number(), count as usize);
        SharedPermit {
            shared: self,
            count,
            hold: self.semaphore.base.hold_of_thread(location),
        }
    }
}

impl Drop for SharedSemaphore<'_> {
    fn drop(&mut self) {
        // No permit is alive, because each borrows this.
        self.semaphore.base.release_leaked(|| None);
    }
}

impl SharedPermit<'_> {
    /// The number of permits.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.shared.rank()
    }
}

impl Drop for SharedPermit<'_> {
    fn drop(&mut self) {
        let _ended = self.hold.end();
        let SharedSemaphore {
            semaphore,
            turns,
            alone,
        } = self.shared;
        held::take_permits(turns.number(), self.count as usize);
        if self.count > 0 {
            semaphore.base.release_as_thread(alone, self.count);
        }
    }
}

impl fmt::Debug for SharedSemaphore<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.semaphore
            .base
            .object
            .show(f, "SharedSemaphore")
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SharedPermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPermit")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
