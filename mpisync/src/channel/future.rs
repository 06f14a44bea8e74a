//! Channels as futures, which retry whenever they are polled.

use crate::channel::error::{ChannelError, PutError};
use crate::channel::message::Message;
use crate::channel::ring::memory::Slots;
use crate::channel::ring::{Generation, Inspector, NoMessage, Queue, Waiting};
use crate::channel::shared::Shared;
use crate::shm::polling::Polling;
use crate::shm::wait::Surroundings;
use std::borrow::Borrow;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// Puts a message; see [`RemoteChannel::put_async`](super::RemoteChannel::put_async).
#[must_use = "futures do nothing unless they are polled"]
pub struct PutFuture<'a, T: Message + ?Sized> {
    retry: Retry<'a, T>,
    /// None after the future was ready.
    message: Option<T::Owned>,
}

/// Takes a message; see [`RemoteChannel::take_async`](super::RemoteChannel::take_async).
#[must_use = "futures do nothing unless they are polled"]
pub struct TakeFuture<'a, T: Message + ?Sized> {
    retry: Retry<'a, T>,
    wait_began: Option<Generation>,
    is_done: bool,
}

impl<'a, T: Message + ?Sized> PutFuture<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>, message: T::Owned) -> Self {
        PutFuture {
            retry: Retry::put(shared),
            message: Some(message),
        }
    }
}

impl<'a, T: Message + ?Sized> TakeFuture<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>) -> Self {
        TakeFuture {
            retry: Retry::take(shared),
            wait_began: None,
            is_done: false,
        }
    }
}

// A message is copied when it is put, and never pinned.
impl<T: Message + ?Sized> Unpin for PutFuture<'_, T> {}

impl<T: Message + ?Sized> Future for PutFuture<'_, T> {
    type Output = Result<(), PutError<T::Owned>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let PutFuture { retry, message } = &mut *self;
        let to_put = message
            .as_ref()
            .expect("`PutFuture` is not polled after it was ready");
        let result = ready!(retry.poll(context, |shared| put(shared, to_put.borrow())));
        let message = message.take();
        Poll::Ready(result.map_err(|reason| PutError {
            message: message.expect("it was not put"),
            reason,
        }))
    }
}

impl<T: Message + ?Sized> Future for TakeFuture<'_, T> {
    type Output = Result<Option<T::Owned>, ChannelError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(
            !this.is_done,
            "`TakeFuture` is not polled after it was ready"
        );
        let attempt = |shared: &_| take(shared, &mut this.wait_began);
        let result = ready!(this.retry.poll(context, attempt));
        this.is_done = true;
        Poll::Ready(result)
    }
}

/// Puts a message. `None` if there is no room at the moment.
pub(super) fn put<T: Message + ?Sized>(
    shared: &Shared<T>,
    message: &T,
) -> Option<Result<(), ChannelError>> {
    let reserved = shared.check_usable().and_then(|()| {
        if let Some(lost) = shared.lost.get() {
            return Err(lost.into());
        }
        message.check(&shared.puts().memory)?;
        Ok(shared.puts().try_put(1)?)
    });
    match reserved {
        Err(ChannelError::Full) => None,
        reserved => Some(reserved.map(|mut putting| T::put(&mut putting, message))),
    }
}

/// Takes a message. `None` if there is no message at the moment; then the wait has begun.
pub(super) fn take<T: Message + ?Sized>(
    shared: &Shared<T>,
    wait_began: &mut Option<Generation>,
) -> Option<Result<Option<T::Owned>, ChannelError>> {
    let began = *wait_began.get_or_insert_with(|| shared.takes.begin_waiting(false));
    let taken = (shared.check_usable())
        .and_then(|()| NoMessage::none_at_end(shared.takes.take_since(1, began)));
    let taken = match taken {
        Err(ChannelError::Empty) => Err(shared.lost.get()?.into()),
        taken => taken,
    };
    *wait_began = None;
    Some(taken.map(|taking| taking.map(|mut taking| T::take(&mut taking))))
}

impl<T: Message + ?Sized> fmt::Debug for PutFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.retry.shared.fmt("PutFuture", f)
    }
}

impl<T: Message + ?Sized> fmt::Debug for TakeFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.retry.shared.fmt("TakeFuture", f)
    }
}

/// Retries an attempt to put or take until it succeeds.
pub(super) struct Retry<'a, T: ?Sized> {
    pub(super) shared: &'a Shared<T>,
    /// The queue at which the future waits.
    queue: &'a Queue<Slots<T>>,
    /// Since the first attempt that failed.
    wait: Option<Wait<'a, T>>,
}

struct Wait<'a, T: ?Sized> {
    polling: Polling,
    inspector: Inspector<'a, Slots<T>>,
    _waiting: Waiting<'a>,
}

impl<'a, T: Message + ?Sized> Retry<'a, T> {
    pub(super) fn put(shared: &'a Shared<T>) -> Self {
        Self::at(shared, shared.puts())
    }

    pub(super) fn take(shared: &'a Shared<T>) -> Self {
        Self::at(shared, &shared.takes)
    }

    fn at(shared: &'a Shared<T>, queue: &'a Queue<Slots<T>>) -> Self {
        Retry {
            shared,
            queue,
            wait: None,
        }
    }

    /// Makes one attempt. If it fails, arranges for the task to be polled again.
    pub(super) fn poll<R>(
        &mut self,
        context: &mut Context<'_>,
        attempt: impl FnOnce(&'a Shared<T>) -> Option<R>,
    ) -> Poll<R> {
        let queue = self.queue;
        queue.memory.progress();
        if let Some(result) = attempt(self.shared) {
            self.wait = None;
            return Poll::Ready(result);
        }
        let now = Instant::now();
        let wait = self.wait.get_or_insert_with(|| Wait {
            polling: Polling::begin(now),
            inspector: queue.inspector(),
            _waiting: queue.wait_as_future(),
        });
        if wait.polling.is_inspection_due(now)
            && let Err(lost) = wait.inspector.inspect()
        {
            // The next attempt returns the error.
            self.shared.lost.set(Some(lost));
        }
        wait.polling.wake_later(context, &queue.memory, now);
        Poll::Pending
    }
}
