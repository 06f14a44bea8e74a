//! Fenced calls as futures.

use crate::collective::access::{Access, On};
use crate::collective::fence::{Excluded, Fence};
use crate::error::{CollectiveError, LockError};
use crate::location::{CallSite, SINGLE_WRITE};
use crate::rwlock::controller::WindowController;
use crate::rwlock::future::poll_write;
use crate::share::payload;
use crate::share::payload::Kind;
use crate::share::polled::Incoming;
use crate::shm::polling::PolledWait;
use crate::shm::waiting::Call;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Begins a call in which one rank writes; see [`WindowController::single_write_async`].
///
/// If it is dropped before it is ready, this rank has not made the call: the other ranks wait until it
/// does, or get an error once it makes another one. Waits for no other rank.
#[must_use = "futures do nothing unless they are polled"]
pub struct AccessFuture<'a> {
    controller: &'a WindowController,
    writer: i32,
    site: CallSite,
    /// As the writer: until the ranks have collected what this one has shared before.
    room: PolledWait<'a>,
    has_room: bool,
    /// As the writer: for the lock.
    wait: PolledWait<'a>,
    is_done: bool,
}

/// Waits for the value that the writer shares; see [`Fence::collect_async`].
///
/// If it is dropped before it is ready, this rank leaves the call, as [`Fence::skip`] does. Waits for
/// no other rank.
#[must_use = "futures do nothing unless they are polled"]
pub struct CollectFuture<'a, T> {
    /// None after the future was ready.
    fence: Option<Fence<'a, Excluded>>,
    incoming: Option<Incoming<Vec<u8>>>,
    wait: PolledWait<'a>,
    value: PhantomData<fn() -> T>,
}

impl WindowController {
    /// [`single_write`](Self::single_write) as a future: the writer can do something else while it
    /// waits for the write lock. Collective.
    ///
    /// Nothing happens before the first poll. All ranks must make the same calls in the same order,
    /// each at the same source location, some of them as futures if you like. See
    /// [`guide::futures`](crate::guide::futures).
    ///
    /// ```
    /// use mpisync::prelude::*;
    ///
    /// let mut ctrl = WindowController::local();
    /// let header: u32 = futures::executor::block_on(async {
    ///     match ctrl.single_write_async().await? {
    ///         Access::Writer(fence) => fence.share(42),
    ///         Access::Excluded(fence) => fence.collect_async().await,
    ///     }
    /// })?;
    /// assert_eq!(header, 42);
    /// # Ok::<(), CollectiveError>(())
    /// ```
    ///
    /// # Errors
    /// The future returns those of [`single_write_timeout`](Self::single_write_timeout), but for the
    /// timeout.
    ///
    /// # Panics
    /// The future panics if it is polled after it was ready.
    #[track_caller]
    pub fn single_write_async(&mut self) -> AccessFuture<'_> {
        self.recover_leaked();
        let site = CallSite::new(SINGLE_WRITE, Location::caller());
        AccessFuture::new(self, self.master(), site)
    }
}

impl<'a> On<'a> {
    /// [`WindowController::single_write_async`] with the selected rank as the writer. Collective.
    ///
    /// # Errors
    /// Those of [`WindowController::single_write_async`].
    ///
    /// # Panics
    /// The future panics if it is polled after it was ready.
    #[track_caller]
    pub fn single_write_async(self) -> AccessFuture<'a> {
        let site = self.site(Location::caller());
        let (controller, writer) = self.into_parts();
        AccessFuture::new(controller, writer, site)
    }
}

impl<'a> Fence<'a, Excluded> {
    /// [`collect`](Self::collect) as a future: this thread can do something else until the writer
    /// shares its value. See [`guide::futures`](crate::guide::futures).
    ///
    /// A value whose serialized form has more than 448 bytes comes in parts. The writer waits in
    /// [`share`](Fence::share) until all ranks have polled their futures often enough to take them.
    ///
    /// # Errors
    /// The future returns those of [`collect`](Self::collect).
    ///
    /// # Panics
    /// The future panics if it is polled after it was ready.
    pub fn collect_async<T: DeserializeOwned>(self) -> CollectFuture<'a, T> {
        CollectFuture {
            fence: Some(self),
            incoming: None,
            wait: PolledWait::default(),
            value: PhantomData,
        }
    }
}

impl<'a> AccessFuture<'a> {
    fn new(controller: &'a WindowController, writer: i32, site: CallSite) -> Self {
        AccessFuture {
            controller,
            writer,
            site,
            room: PolledWait::default(),
            has_room: false,
            wait: PolledWait::default(),
            is_done: false,
        }
    }

    /// As the writer: waits for room for the value, and for the lock.
    fn poll_lock(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LockError>> {
        let (controller, location) = (self.controller, self.site.location());
        if !self.has_room {
            let call = || Call::new(controller, "single_write_async", location);
            let attempt = |inspects| {
                controller.check_usable()?;
                let next = controller.call(controller.next_call(), self.site);
                Ok::<_, LockError>(next.has_room(inspects).then_some(()))
            };
            ready!((self.room).poll(context, controller.block(), call, attempt))?;
            self.has_room = true;
        }
        let (lock, wait) = (controller.lock(), &mut self.wait);
        poll_write(lock, wait, "single_write_async", location, context)
    }
}

impl<'a> Future for AccessFuture<'a> {
    type Output = Result<Access<'a>, CollectiveError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(
            !this.is_done,
            "`AccessFuture` is not polled after it was ready"
        );
        let (controller, writer) = (this.controller, this.writer);
        let entered = if writer == controller.rank() {
            ready!(this.poll_lock(context))
        } else {
            Ok(())
        };
        this.is_done = true;
        controller.lock().withdraw_writer();
        let begun = Access::begin(controller, writer, this.site, || entered);
        if begun.is_err() && controller.lock().writes() {
            controller.lock().leave_write();
        }
        Poll::Ready(begun)
    }
}

impl<T: DeserializeOwned> Future for CollectFuture<'_, T> {
    type Output = Result<T, CollectiveError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let fence = this.fence.as_ref();
        let fence = fence.expect("`CollectFuture` is not polled after it was ready");
        let (controller, writer) = (fence.owner(), fence.writer_rank() as usize);
        let (call, incoming) = (fence.call(), &mut this.incoming);
        let before = incoming.as_ref().map(Incoming::progress);
        let location = fence.location();
        let waiting = || Call::new(controller, "collect_async", location);
        let collected = (this.wait).poll(context, controller.block(), waiting, |inspects| {
            controller.check_usable()?;
            let room = |length| Ok(Vec::with_capacity(length as usize));
            call.poll_collect(incoming, writer, Kind::serde::<T>(), room, inspects)
        });
        let Poll::Ready(collected) = collected else {
            if incoming.as_ref().map(Incoming::progress) != before {
                // The next part comes soon.
                this.wait.restart();
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        };
        if let Some(fence) = this.fence.take() {
            fence.end(|call| call.finish());
        }
        Poll::Ready(collected.and_then(|bytes: Vec<u8>| payload::decode(&bytes)))
    }
}

impl Drop for AccessFuture<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.controller.lock().withdraw_writer();
        }
    }
}

impl<T> Drop for CollectFuture<'_, T> {
    fn drop(&mut self) {
        if let Some(fence) = self.fence.take() {
            fence.skip();
        }
    }
}

impl fmt::Debug for AccessFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessFuture")
            .field("writer", &self.writer)
            .field("controller", self.controller)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for CollectFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectFuture")
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}
