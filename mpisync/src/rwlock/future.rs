//! The lock as futures.

use crate::error::LockError;
use crate::rwlock::controller::WindowController;
use crate::rwlock::guard::{ReadGuard, WriteGuard};
use crate::rwlock::state::LockState;
use crate::shm::polling::PolledWait;
use crate::shm::waiting::Call;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Takes the read lock; see [`WindowController::read_async`].
///
/// Dropping it ends the wait, and gives back what was granted meanwhile. Waits for no other rank.
#[must_use = "futures do nothing unless they are polled"]
pub struct ReadFuture<'a> {
    lock: &'a LockState,
    location: &'static Location<'static>,
    /// Whether it counts as waiting in the lock.
    waits: bool,
    wait: PolledWait<'a>,
    is_done: bool,
}

/// Takes the write lock; see [`WindowController::write_async`].
///
/// Dropping it ends the wait, and gives back what was granted meanwhile. Waits for no other rank.
#[must_use = "futures do nothing unless they are polled"]
pub struct WriteFuture<'a> {
    lock: &'a LockState,
    location: &'static Location<'static>,
    wait: PolledWait<'a>,
    is_done: bool,
}

impl WindowController {
    /// Takes the read lock as a future, so that this thread can do something else while another rank
    /// writes or waits to write. Not collective.
    ///
    /// Nothing happens before the first poll. From then on this rank waits in the lock as
    /// [`read`](Self::read) does, and keeps its place until the future is ready or dropped. Several
    /// futures of one controller may wait at the same time. For how often a future is polled, and
    /// what it means to others if it is not, see [`guide::futures`](crate::guide::futures).
    ///
    /// ```
    /// use mpisync::prelude::*;
    ///
    /// let ctrl = WindowController::local();
    /// futures::executor::block_on(async {
    ///     let _reading = ctrl.read_async().await?;
    ///     // Many ranks may be here at the same time.
    ///     Ok::<(), LockError>(())
    /// })?;
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
    pub fn read_async(&self) -> ReadFuture<'_> {
        ReadFuture {
            lock: self.lock(),
            location: Location::caller(),
            waits: false,
            wait: PolledWait::default(),
            is_done: false,
        }
    }

    /// Takes the write lock as a future, so that this thread can do something else while other ranks
    /// write or read. Not collective.
    ///
    /// Nothing happens before the first poll. From then on this rank waits in the lock as
    /// [`write`](Self::write) does, and keeps its place until the future is ready or dropped. See
    /// [`guide::futures`](crate::guide::futures).
    ///
    /// ```
    /// use mpisync::prelude::*;
    ///
    /// let mut ctrl = WindowController::local();
    /// futures::executor::block_on(async {
    ///     let _writing = ctrl.write_async().await?;
    ///     // One rank, and no reader.
    ///     Ok::<(), LockError>(())
    /// })?;
    /// # Ok::<(), LockError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`read_async`](Self::read_async).
    ///
    /// # Panics
    /// The future panics if it is polled after it was ready.
    #[track_caller]
    pub fn write_async(&mut self) -> WriteFuture<'_> {
        self.recover_leaked();
        WriteFuture {
            lock: self.lock(),
            location: Location::caller(),
            wait: PolledWait::default(),
            is_done: false,
        }
    }
}

impl<'a> Future for ReadFuture<'a> {
    type Output = Result<ReadGuard<'a>, LockError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(
            !this.is_done,
            "`ReadFuture` is not polled after it was ready"
        );
        let (lock, location) = (this.lock, this.location);
        let call = || Call::new(lock, "read_async", location);
        let attempt = |inspects| {
            lock.object().check_usable()?;
            let entered = lock.poll_read(&mut this.waits, location, inspects);
            let entered = entered.map_err(|stop| lock.object().lock_error(stop, None, call()))?;
            Ok(entered.then_some(()))
        };
        let entered = ready!((this.wait).poll(context, lock.memory(), call, attempt));
        this.is_done = true;
        lock.withdraw_reader(&mut this.waits);
        Poll::Ready(entered.map(|()| ReadGuard::new(lock)))
    }
}

impl<'a> Future for WriteFuture<'a> {
    type Output = Result<WriteGuard<'a>, LockError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(
            !this.is_done,
            "`WriteFuture` is not polled after it was ready"
        );
        let (lock, location) = (this.lock, this.location);
        let entered = ready!(poll_write(
            lock,
            &mut this.wait,
            "write_async",
            location,
            context
        ));
        this.is_done = true;
        if entered.is_err() {
            lock.withdraw_writer();
        }
        Poll::Ready(entered.map(|()| WriteGuard::new(lock)))
    }
}

/// Enters as a writer, in the call `name` at `location`.
pub(crate) fn poll_write<'a>(
    lock: &'a LockState,
    wait: &mut PolledWait<'a>,
    name: &'static str,
    location: &'static Location<'static>,
    context: &mut Context<'_>,
) -> Poll<Result<(), LockError>> {
    let call = || Call::new(lock, name, location);
    wait.poll(context, lock.memory(), call, |inspects| {
        lock.object().check_usable()?;
        let entered = lock.poll_write(location, inspects);
        let entered = entered.map_err(|stop| lock.object().lock_error(stop, None, call()))?;
        Ok(entered.then_some(()))
    })
}

impl Drop for ReadFuture<'_> {
    fn drop(&mut self) {
        self.lock.withdraw_reader(&mut self.waits);
    }
}

impl Drop for WriteFuture<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.lock.withdraw_writer();
        }
    }
}

impl fmt::Debug for ReadFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadFuture").field(self.lock).finish()
    }
}

impl fmt::Debug for WriteFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteFuture").field(self.lock).finish()
    }
}
