//! A limited number of permits that ranks take and give back.

mod future;
mod shared;

use crate::error::{CreateError, LockError};
use crate::object::{Object, accessors};
use crate::shm::layout::AnyLayout;
use crate::sync::base::{Base, is_endless};
pub use crate::sync::semaphore::future::AcquireFuture;
pub use crate::sync::semaphore::shared::{SharedPermit, SharedSemaphore};
use crate::sync::spec::Spec;
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::memory::WaitLayout;
use crate::wait_queue::{MOST_PERMITS, OnDeath};
use std::fmt;
use std::mem;
use std::panic::Location;
use std::time::Duration;

/// A counting semaphore for all ranks of a communicator. It limits the number of ranks that do
/// something at the same time: a rank holds a permit while it does.
///
/// Made by [`Semaphore::new`] or [`Semaphore::builder`], or for one process without MPI by
/// [`Semaphore::local`]. On the root's node, taking a free permit and giving it back are one atomic
/// operation each. A rank of another node waits for one round trip to take permits, and does not
/// wait to give them back. Waiting ranks are served first come, first served, across all nodes; no
/// rank overtakes one that waits for many permits. The permits of a rank that dies are free again.
///
/// A semaphore stays on the thread that made it; [`shared`](Self::shared) lets the threads of a rank take
/// permits. Dropping it is local.
///
/// ```
/// use mpisync::Semaphore;
///
/// let licences = Semaphore::local(2)?;
/// let first = licences.acquire();
/// let second = licences.acquire();
/// assert!(licences.try_acquire().is_none());
/// drop(first);
/// assert!(licences.try_acquire().is_some());
/// # Ok::<(), mpisync::CreateError>(())
/// ```
pub struct Semaphore {
    base: Base,
    /// The largest number of permits. None if the semaphore is unbounded.
    bound: Option<u32>,
}

/// The reason why permits were not granted or not released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SemaphoreError {
    /// More permits were requested than the semaphore can have.
    #[error(
        "{asked} permits were asked for, and the semaphore has {most} at most; ask for fewer, or make it larger"
    )]
    TooMany {
        /// The number of requested permits.
        asked: u32,
        /// The largest number of permits of this semaphore.
        most: u32,
    },
    /// This rank itself holds too many permits for the request to be granted. It would wait for
    /// itself.
    #[error(
        "{asked} permits were asked for, and this rank holds {held} of the {most} that the semaphore has; drop a `Permit` \
         of this rank first, or ask for all permits at once"
    )]
    HeldHere {
        /// The number of requested permits.
        asked: u32,
        /// The number of permits that this rank holds.
        held: u32,
        /// The largest number of permits of this semaphore.
        most: u32,
    },
    /// The communicator has one rank, so no other rank can release the missing permits.
    #[error(
        "{asked} permits were asked for, {free} are free, and there is no other rank that could release more; call \
         `release` first, or wait with a time limit"
    )]
    Alone {
        /// The number of requested permits.
        asked: u32,
        /// The number of free permits.
        free: u32,
    },
    /// The semaphore would have more permits than it can have.
    #[error(
        "releasing {released} permits would give the semaphore more than {most}, the most that it can have; release only permits \
         that were forgotten (`Permit::forget`), or make it `unbounded` if it is not"
    )]
    BeyondBound {
        /// The number of permits to release.
        released: u32,
        /// The largest number of permits, free or held.
        most: u32,
    },
    /// The wait failed.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Semaphore {
    /// The largest number of permits of any semaphore: 268,435,455.
    pub const MAX_PERMITS: u32 = MOST_PERMITS;

    /// Makes a semaphore for this process alone that has `permits` permits and never more. Needs no
    /// MPI, neither to run nor (without the feature `mpi`) to build.
    ///
    /// # Errors
    /// [`CreateError::Permits`], for no permits and for more than
    /// [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn local(permits: u32) -> Result<Self, CreateError> {
        SemaphoreOf::bounded(permits).local_if_valid()
    }

    /// Makes a semaphore for this process alone to which permits can be added.
    ///
    /// # Errors
    /// [`CreateError::Permits`], for more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn local_unbounded(permits: u32) -> Result<Self, CreateError> {
        let is_bounded = false;
        let spec = SemaphoreOf {
            permits,
            is_bounded,
        };
        spec.local_if_valid()
    }

    /// Takes one permit. Waits until it is granted. Not collective.
    ///
    /// # Panics
    /// Where [`acquire_timeout`](Self::acquire_timeout) with [`Duration::MAX`] would return an
    /// error, for example because only this rank could release a permit, or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Permit<'_> {
        self.acquire_many(1)
    }

    /// Takes `count` permits at once. Waits until all of them are granted. Ranks that come later
    /// wait behind this one, even for fewer permits. Not collective.
    ///
    /// # Panics
    /// Where [`acquire_many_timeout`](Self::acquire_many_timeout) with [`Duration::MAX`] would
    /// return an error.
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, count: u32) -> Permit<'_> {
        self.take(count, None)
            .unwrap_or_else(|error| self.base.object.panic_with(&error))
    }

    /// Takes one permit if it is free and no rank waits. Not collective. Does not wait, except for
    /// one round trip if the root is on another node.
    ///
    /// # Panics
    /// If MPI is finalized, or a rank died while it changed the semaphore.
    #[inline]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `count` permits at once if they are free and no rank waits. Not collective. Does not
    /// wait, except for one round trip if the root is on another node.
    ///
    /// # Panics
    /// If MPI is finalized, or a rank died while it changed the semaphore.
    #[inline]
    #[track_caller]
    pub fn try_acquire_many(&self, count: u32) -> Option<Permit<'_>> {
        if count > self.most() {
            return None;
        }
        if count == 0 {
            return Some(self.permit(0));
        }
        match self.base.try_acquire(count) {
            Ok(grant) => grant.map(|_| self.permit(count)),
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    /// Takes one permit. Waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to wait
    /// indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::Finalized`], and [`LockError::HolderDied`] if a rank
    /// died while it changed the semaphore, so that the number of its permits is unknown. Without
    /// waiting: [`SemaphoreError::TooMany`]; [`SemaphoreError::HeldHere`] if this rank would wait
    /// for itself; and [`SemaphoreError::Alone`] if it would do so indefinitely on a communicator
    /// of one rank.
    ///
    /// ```
    /// use mpisync::Semaphore;
    /// use mpisync::sync::SemaphoreError;
    /// use std::time::Duration;
    ///
    /// let licences = Semaphore::local(2)?;
    /// let first = licences.acquire();
    /// let error = licences.acquire_many_timeout(2, Duration::MAX).unwrap_err();
    /// assert_eq!(error, SemaphoreError::HeldHere { asked: 2, held: 1, most: 2 });
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn acquire_timeout(&self, limit: Duration) -> Result<Permit<'_>, SemaphoreError> {
        self.acquire_many_timeout(1, limit)
    }

    /// Takes `count` permits at once. Waits for at most `limit` until all of them are granted. Not
    /// collective.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    #[track_caller]
    pub fn acquire_many_timeout(
        &self,
        count: u32,
        limit: Duration,
    ) -> Result<Permit<'_>, SemaphoreError> {
        self.take(count, Some(limit))
    }

    #[inline]
    #[track_caller]
    fn take(&self, count: u32, limit: Option<Duration>) -> Result<Permit<'_>, SemaphoreError> {
        let most = self.most();
        if count > most {
            return Err(SemaphoreError::TooMany { asked: count, most });
        }
        let held = self.base.held();
        if count > most.saturating_sub(held) {
            return Err(SemaphoreError::HeldHere {
                asked: count,
                held,
                most,
            });
        }
        if count == 0 {
            return Ok(self.permit(0));
        }
        if self.base.is_alone() && is_endless(limit) {
            return self.take_alone(count);
        }
        if !self.base.acquire_at_once(count) {
            self.base.acquire("acquire", count, limit)?;
        }
        Ok(self.permit(count))
    }

    /// Takes permits where no other rank could release any.
    #[track_caller]
    fn take_alone(&self, count: u32) -> Result<Permit<'_>, SemaphoreError> {
        match self.base.try_acquire(count)? {
            Some(_) => Ok(self.permit(count)),
            None => Err(SemaphoreError::Alone {
                asked: count,
                free: self.base.free()?,
            }),
        }
    }

    /// The largest number of permits.
    #[inline]
    fn most(&self) -> u32 {
        self.bound.unwrap_or(MOST_PERMITS)
    }

    #[inline]
    fn permit(&self, count: u32) -> Permit<'_> {
        Permit {
            semaphore: self,
            count,
        }
    }

    /// Adds free permits to the semaphore: permits that any rank has [forgotten](Permit::forget)
    /// or, if the semaphore is unbounded, new ones. Not collective. Waits for one round trip if the
    /// root is on another node. Releasing 0 permits changes nothing.
    ///
    /// # Errors
    /// [`SemaphoreError::BeyondBound`], [`LockError::Finalized`]. No permit is added then.
    ///
    /// ```
    /// # use mpisync::Semaphore;
    /// // As a signal: one rank waits for the work of another.
    /// let done = Semaphore::local_unbounded(0)?;
    /// done.release(3)?;
    /// done.acquire_many(3).forget();
    /// assert!(done.try_acquire().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(&self, count: u32) -> Result<(), SemaphoreError> {
        let most = self.most();
        if self.base.supply(count, most)? {
            return Ok(());
        }
        let released = count;
        Err(SemaphoreError::BeyondBound { released, most })
    }

    /// The number of free permits; may be out of date when the call returns. Not collective. Waits
    /// for one round trip if the root is on another node.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn available(&self) -> u32 {
        match self.base.free() {
            Ok(free) => free,
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    /// Makes the semaphore usable again if a rank has died in the middle of a change of its words, which
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

    /// The largest number of permits, free or held. None if the semaphore is unbounded.
    pub fn bound(&self) -> Option<u32> {
        self.bound
    }
}

/// The arguments of a [`Semaphore`].
#[derive(Debug)]
pub struct SemaphoreOf {
    permits: u32,
    pub(super) is_bounded: bool,
}

impl SemaphoreOf {
    /// A semaphore that never has more than `permits` permits.
    pub(super) fn bounded(permits: u32) -> Self {
        SemaphoreOf {
            permits,
            is_bounded: true,
        }
    }
}

impl Spec for SemaphoreOf {
    type Made = Semaphore;
    const KIND: &'static str = "semaphore";

    fn arguments(&self) -> Vec<(&'static str, String)> {
        vec![
            ("number of permits", self.permits.to_string()),
            ("bound", self.is_bounded.to_string()),
        ]
    }

    fn invalid(&self) -> Option<CreateError> {
        let least = u32::from(self.is_bounded);
        let is_valid = (least..=MOST_PERMITS).contains(&self.permits);
        (!is_valid).then_some(CreateError::Permits {
            permits: self.permits,
            least,
            most: MOST_PERMITS,
        })
    }

    fn layout(&self, root: i32) -> AnyLayout {
        AnyLayout::new(WaitLayout {
            root,
            permits: self.permits,
            cargo: Cargo::Nothing,
        })
    }

    fn make(self, object: Object) -> Semaphore {
        Semaphore {
            base: Base::new(object, OnDeath::Release, Cargo::Nothing)
                .bound_by(self.is_bounded.then_some(self.permits)),
            bound: self.is_bounded.then_some(self.permits),
        }
    }
}

/// Shows the number of free permits, the holders and the waiters in order, if the root is on this
/// node; a snapshot that may be out of date.
impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.base.object.show(f, "Semaphore");
        fields.field("bound", &self.bound);
        self.base.show(&mut fields);
        fields.finish_non_exhaustive()
    }
}

/// Permits of a [`Semaphore`]. They are given back when this is dropped.
///
/// Dropping it does one atomic operation on the root's node and sends a message from another node;
/// it does not wait. A leaked permit (`mem::forget`, not [`forget`](Self::forget)) is given back
/// when the semaphore is closed or dropped.
#[must_use = "the permit goes back at once, with `let _ = …` too; write `let _permit = …`"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: u32,
}

impl Permit<'_> {
    /// The number of permits.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.semaphore.rank()
    }

    /// Keeps the permits from being given back on drop. Any rank may give them back later, by
    /// [`Semaphore::release`]. Waits for one round trip if the root is on another node.
    pub fn forget(self) {
        if self.count > 0 {
            self.semaphore.base.keep(self.count);
        }
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.base.release(self.count, || None);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
