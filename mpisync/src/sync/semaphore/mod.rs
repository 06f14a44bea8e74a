//! Permits that ranks take and give back.

use crate::error::{CreateError, LockError};
use crate::object::{Object, accessors};
use crate::shm::layout::AnyLayout;
use crate::sync::base::{Base, is_endless};
use crate::sync::spec::Spec;
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::memory::WaitLayout;
use crate::wait_queue::{MOST_PERMITS, OnDeath};
use std::fmt;
use std::mem;
use std::time::Duration;

/// So many permits for all ranks of a communicator: a rank that has one may do what only so many
/// may do at a time.
///
/// Made by [`Semaphore::new`] or [`Semaphore::builder`], and for one process without MPI by
/// [`Semaphore::local`]. On the root's node taking and giving back a permit that is free is one
/// atomic operation each; a rank of another node waits one round trip for it, and for nothing when
/// it gives it back. Who waits is served first come, first served, over all nodes: also one that
/// wants many permits, which nobody goes past. Permits of a rank that dies come back.
///
/// It stays on the thread that made it. Dropping it is local.
///
/// ```
/// use mpisync::Semaphore;
///
/// let licences = Semaphore::local(2);
/// let first = licences.acquire();
/// let second = licences.acquire();
/// assert!(licences.try_acquire().is_none());
/// drop(first);
/// assert!(licences.try_acquire().is_some());
/// ```
pub struct Semaphore {
    base: Base,
    /// How many permits there are at most; none where more may be released than there were.
    bound: Option<u32>,
}

/// Why permits were not granted, or not released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SemaphoreError {
    /// More were asked for than there can ever be.
    #[error(
        "{asked} permits were asked for, and the semaphore has {most} at most; ask for fewer, or make it larger"
    )]
    TooMany {
        /// How many were asked for.
        asked: u32,
        /// How many there are at most.
        most: u32,
    },
    /// The rank holds so many itself that the rest cannot be enough. It would wait for itself.
    #[error(
        "{asked} permits were asked for, and this rank holds {held} of the {most} that the semaphore has; drop a `Permit` \
         of this rank first, or ask for all permits at once"
    )]
    HeldHere {
        /// How many were asked for.
        asked: u32,
        /// How many this rank holds.
        held: u32,
        /// How many there are at most.
        most: u32,
    },
    /// The communicator has one rank, so nobody can release what is missing.
    #[error(
        "{asked} permits were asked for, {free} are free, and there is no other rank that could release more; call \
         `release` first, or wait with a time limit"
    )]
    Alone {
        /// How many were asked for.
        asked: u32,
        /// How many are free.
        free: u32,
    },
    /// More were released than are missing.
    #[error(
        "with {released} permits more there would be more than {most}, the most that the semaphore can have; release what was \
         forgotten (`Permit::forget`), or make it `unbounded` if it is not"
    )]
    BeyondBound {
        /// How many were to be released.
        released: u32,
        /// How many there are at most, free or not.
        most: u32,
    },
    /// They could not be had.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Semaphore {
    /// The most permits that a semaphore can have: 268,435,455.
    pub const MAX_PERMITS: u32 = MOST_PERMITS;

    /// A semaphore of this process alone, with so many permits and no more. Needs no MPI, neither
    /// to run nor (without the feature `mpi`) to build.
    ///
    /// # Panics
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn local(permits: u32) -> Self {
        Self::alone(SemaphoreOf::bounded(permits))
    }

    /// A semaphore of this process alone, to which more permits can be added than it begins with.
    ///
    /// # Panics
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn local_unbounded(permits: u32) -> Self {
        Self::alone(SemaphoreOf {
            permits,
            is_bounded: false,
        })
    }

    fn alone(spec: SemaphoreOf) -> Self {
        assert!(
            spec.permits <= MOST_PERMITS,
            "a semaphore has at most {MOST_PERMITS} permits"
        );
        spec.local()
    }

    /// Takes a permit; waits until there is one. Not collective.
    ///
    /// # Panics
    /// Where [`acquire_timeout`](Self::acquire_timeout) with [`Duration::MAX`] would return an
    /// error: only this rank could release a permit, MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Permit<'_> {
        self.acquire_many(1)
    }

    /// Takes so many permits at once; waits until all of them are there. Not collective. Ranks that
    /// come later wait behind it, even for fewer.
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

    /// Takes a permit if one is free and nobody waits. Not collective. Does not wait, but for a
    /// round trip where the root is on another node.
    ///
    /// # Panics
    /// If MPI is finalized, or a rank died in the middle of a change.
    #[inline]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes so many permits if they are free and nobody waits. Not collective.
    ///
    /// # Panics
    /// If MPI is finalized, or a rank died in the middle of a change.
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

    /// Takes a permit; waits for `limit` at most. Not collective. Pass [`Duration::MAX`] to wait
    /// indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::Finalized`], and [`LockError::HolderDied`] where a rank
    /// died so that nobody can tell whether it had a permit. At once: [`SemaphoreError::TooMany`],
    /// [`SemaphoreError::HeldHere`] where this rank would wait for itself, and
    /// [`SemaphoreError::Alone`] where it would do so without end on a communicator of one rank.
    ///
    /// ```
    /// use mpisync::Semaphore;
    /// use mpisync::sync::SemaphoreError;
    /// use std::time::Duration;
    ///
    /// let licences = Semaphore::local(2);
    /// let first = licences.acquire();
    /// let error = licences.acquire_many_timeout(2, Duration::MAX).unwrap_err();
    /// assert_eq!(error, SemaphoreError::HeldHere { asked: 2, held: 1, most: 2 });
    /// ```
    #[track_caller]
    pub fn acquire_timeout(&self, limit: Duration) -> Result<Permit<'_>, SemaphoreError> {
        self.acquire_many_timeout(1, limit)
    }

    /// Takes so many permits at once; waits for `limit` at most. Not collective.
    ///
    /// # Errors
    /// Those of [`acquire_timeout`](Self::acquire_timeout).
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
        self.base.acquire("acquire", count, limit)?;
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

    /// How many permits there are at most.
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

    /// Puts permits into the semaphore that no rank holds: those that were
    /// [forgotten](Permit::forget), by whatever rank, or, where it is unbounded, any. Not
    /// collective. Waits for a round trip where the root is on another node.
    ///
    /// # Errors
    /// [`SemaphoreError::BeyondBound`], and [`LockError::Finalized`]. Nothing is released then.
    ///
    /// ```
    /// # use mpisync::Semaphore;
    /// // As a signal: one rank waits for what another one has done.
    /// let done = Semaphore::local_unbounded(0);
    /// done.release(3)?;
    /// done.acquire_many(3).forget();
    /// assert!(done.try_acquire().is_none());
    /// # Ok::<(), mpisync::sync::SemaphoreError>(())
    /// ```
    pub fn release(&self, count: u32) -> Result<(), SemaphoreError> {
        let most = self.most();
        if self.base.supply(count, most)? {
            return Ok(());
        }
        let released = count;
        Err(SemaphoreError::BeyondBound { released, most })
    }

    /// How many permits are free just now; the next moment it may be otherwise. Not collective.
    /// Waits for a round trip where the root is on another node.
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

    accessors!(root, base.object; |this| this.base.release_leaked(|| None));

    /// How many permits there are at most, in use or not; none where it is unbounded.
    pub fn bound(&self) -> Option<u32> {
        self.bound
    }
}

/// A semaphore to be made.
#[derive(Debug)]
pub struct SemaphoreOf {
    permits: u32,
    pub(super) is_bounded: bool,
}

impl SemaphoreOf {
    /// One with at most as many permits as it begins with.
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
            base: Base::new(object, OnDeath::Release, Cargo::Nothing),
            bound: self.is_bounded.then_some(self.permits),
        }
    }
}

/// How many permits are free, who has some and who waits, in order, where the root is on this node;
/// a snapshot that may be out of date.
impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.base.object.show(f, "Semaphore");
        fields.field("bound", &self.bound);
        self.base.show(&mut fields);
        fields.finish_non_exhaustive()
    }
}

/// Permits of a [`Semaphore`], which go back when this is dropped.
///
/// Dropping it stores a word on the root's node, and sends a message elsewhere; it waits for nobody
/// to answer. A permit that is leaked (`mem::forget`, other than [`forget`](Self::forget)) goes
/// back when the semaphore is closed or dropped.
#[must_use = "the permit goes back at once, with `let _ = …` too; write `let _permit = …`"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: u32,
}

impl Permit<'_> {
    /// How many permits these are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Keeps the permits from going back by themselves; [`Semaphore::release`] gives them back, on
    /// whatever rank. Waits for a round trip where the root is on another node.
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
