//! A mutex as a future.

use crate::error::LockError;
use crate::plain::Plain;
use crate::sync::base::GrantFuture;
use crate::sync::mutex::{Mutex, MutexGuard};
use std::any::type_name;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Takes the lock of a mutex; see [`Mutex::lock_async`].
///
/// Dropping it ends the wait, and gives the lock back if it was granted meanwhile. Waits for no other
/// rank.
#[must_use = "futures do nothing unless they are polled"]
pub struct LockFuture<'a, T: Plain = ()> {
    mutex: &'a Mutex<T>,
    grant: GrantFuture<'a>,
    is_done: bool,
}

impl<T: Plain> Mutex<T> {
    /// Takes the lock as a future, so that this thread can do something else while another rank holds
    /// it, or has asked for it before. Not collective.
    ///
    /// Nothing happens before the first poll. Then this rank joins the queue, and keeps its place
    /// until the future is ready or dropped. See [`guide::futures`](crate::guide::futures).
    ///
    /// ```
    /// use mpisync::{LockError, Mutex};
    ///
    /// let mut total = Mutex::local_with(0);
    /// futures::executor::block_on(async {
    ///     *total.lock_async().await? += 1;
    ///     Ok::<(), LockError>(())
    /// })?;
    /// assert_eq!(*total.lock(), 1);
    /// # Ok::<(), LockError>(())
    /// ```
    ///
    /// # Errors
    /// The future returns [`LockError::HolderDied`], [`LockError::HolderEnded`],
    /// [`LockError::LeaderDied`], [`LockError::HostSilent`], [`LockError::Finalized`].
    ///
    /// # Panics
    /// The future panics if it is polled after it was ready.
    #[track_caller]
    pub fn lock_async(&mut self) -> LockFuture<'_, T> {
        self.forget_leaked_guard();
        LockFuture {
            grant: GrantFuture::new(&self.base, "lock_async", 1),
            mutex: self,
            is_done: false,
        }
    }
}

impl<'a, T: Plain> Future for LockFuture<'a, T> {
    type Output = Result<MutexGuard<'a, T>, LockError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(
            !self.is_done,
            "`LockFuture` is not polled after it was ready"
        );
        let granted = ready!(self.grant.poll(context));
        self.is_done = true;
        Poll::Ready(granted.map(|grant| self.mutex.guard(grant)))
    }
}

impl<T: Plain> fmt::Debug for LockFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockFuture")
            .field("mutex", &self.mutex.name())
            .field("value", &format_args!("{}", type_name::<T>()))
            .finish_non_exhaustive()
    }
}
