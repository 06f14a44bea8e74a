//! A semaphore as a future.

use crate::sync::base::GrantFuture;
use crate::sync::semaphore::{Permit, Semaphore, SemaphoreError};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Takes permits of a semaphore; see [`Semaphore::acquire_async`].
///
/// Dropping it ends the wait, and gives permits back that were granted meanwhile. Waits for no other
/// rank.
#[must_use = "futures do nothing unless they are polled"]
pub struct AcquireFuture<'a> {
    semaphore: &'a Semaphore,
    count: u32,
    grant: GrantFuture<'a>,
    is_done: bool,
}

impl Semaphore {
    /// Takes one permit as a future, so that this thread can do something else until it is granted.
    /// Not collective.
    ///
    /// Nothing happens before the first poll. Then this rank joins the queue, and keeps its place
    /// until the future is ready or dropped. Several futures of one semaphore may wait at the same
    /// time. A rank has one place in the queue, so its futures join one after the other, in the order
    /// of their first polls. See [`guide::futures`](crate::guide::futures).
    ///
    /// Other tasks of this rank may give permits back. So this waits where
    /// [`acquire`](Self::acquire) finds that this rank would wait for itself.
    ///
    /// ```
    /// use mpisync::Semaphore;
    ///
    /// let licences = Semaphore::local(1)?;
    /// let task = || async { Ok::<u32, mpisync::sync::SemaphoreError>(licences.acquire_async().await?.count()) };
    /// let both = futures::executor::block_on(async { futures::join!(task(), task()) });
    /// assert_eq!(both, (Ok(1), Ok(1)));
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    ///
    /// # Errors
    /// The future returns [`LockError::Finalized`](crate::LockError::Finalized),
    /// [`LockError::LeaderDied`](crate::LockError::LeaderDied),
    /// [`LockError::HostSilent`](crate::LockError::HostSilent), and
    /// [`LockError::HolderDied`](crate::LockError::HolderDied) if a rank died while it changed the
    /// semaphore.
    ///
    /// # Panics
    /// The future panics if it is polled after it was ready.
    #[track_caller]
    pub fn acquire_async(&self) -> AcquireFuture<'_> {
        self.acquire_many_async(1)
    }

    /// Takes `count` permits at once as a future; see [`acquire_async`](Self::acquire_async). Ranks
    /// that come later wait behind this one, even for fewer permits. Not collective.
    ///
    /// # Errors
    /// Those of [`acquire_async`](Self::acquire_async), and [`SemaphoreError::TooMany`].
    ///
    /// # Panics
    /// The future panics if it is polled after it was ready.
    #[track_caller]
    pub fn acquire_many_async(&self, count: u32) -> AcquireFuture<'_> {
        AcquireFuture {
            semaphore: self,
            count,
            grant: GrantFuture::new(&self.base, "acquire_async", count),
            is_done: false,
        }
    }
}

impl<'a> Future for AcquireFuture<'a> {
    type Output = Result<Permit<'a>, SemaphoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(
            !self.is_done,
            "`AcquireFuture` is not polled after it was ready"
        );
        let (semaphore, asked) = (self.semaphore, self.count);
        let most = semaphore.most();
        let granted = match asked {
            0 => Ok(()),
            asked if asked > most => Err(SemaphoreError::TooMany { asked, most }),
            _ => ready!(self.grant.poll(context))
                .map(drop)
                .map_err(SemaphoreError::from),
        };
        self.is_done = true;
        Poll::Ready(granted.map(|()| semaphore.permit(asked)))
    }
}

impl fmt::Debug for AcquireFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireFuture")
            .field("semaphore", &self.semaphore.name())
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
