//! Messages as futures.

use crate::channel::attempts::Attempts;
use crate::channel::ends::Ends;
use crate::channel::error::{ChannelError, PutError};
use crate::channel::ring::Generation;
use crate::plain::Plain;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Puts a message, in the poll that is ready; see
/// [`RemoteChannel::put_async`](super::RemoteChannel::put_async).
#[must_use = "futures do nothing unless they are polled"]
pub struct PutFuture<'a, T: Plain> {
    attempts: Attempts<'a, T>,
    /// None once it was put, or never will be.
    message: Option<T>,
}

/// Takes a message, in the poll that is ready; see
/// [`RemoteChannel::take_async`](super::RemoteChannel::take_async).
#[must_use = "futures do nothing unless they are polled"]
pub struct TakeFuture<'a, T: Plain> {
    attempts: Attempts<'a, T>,
    wait_began: Option<Generation>,
    is_done: bool,
}

impl<'a, T: Plain> PutFuture<'a, T> {
    pub(super) fn new(ends: &'a Ends<T>, message: T) -> Self {
        PutFuture {
            attempts: Attempts::to_put(ends),
            message: Some(message),
        }
    }
}

impl<'a, T: Plain> TakeFuture<'a, T> {
    pub(super) fn new(ends: &'a Ends<T>) -> Self {
        TakeFuture {
            attempts: Attempts::to_take(ends),
            wait_began: None,
            is_done: false,
        }
    }
}

// A message is copied from where it lies, and never pinned.
impl<T: Plain> Unpin for PutFuture<'_, T> {}

impl<T: Plain> Future for PutFuture<'_, T> {
    type Output = Result<(), PutError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let PutFuture { attempts, message } = &mut *self;
        let to_put = message
            .as_ref()
            .expect("`PutFuture` is not polled after it was ready");
        let result = ready!(attempts.poll(context, |ends| put(ends, to_put)));
        let message = message.take();
        Poll::Ready(result.map_err(|reason| PutError {
            message: message.expect("it was not put"),
            reason,
        }))
    }
}

impl<T: Plain> Future for TakeFuture<'_, T> {
    type Output = Result<Option<T>, ChannelError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(
            !this.is_done,
            "`TakeFuture` is not polled after it was ready"
        );
        let attempt = |ends: &_| take(ends, &mut this.wait_began);
        let result = ready!(this.attempts.poll(context, attempt));
        this.is_done = true;
        Poll::Ready(result)
    }
}

/// Puts a message; nothing if there is no room at the moment.
pub(super) fn put<T: Plain>(ends: &Ends<T>, message: &T) -> Option<Result<(), ChannelError>> {
    match ends.poll_put(message) {
        Err(ChannelError::Full) => None,
        done => Some(done),
    }
}

/// Takes a message; nothing if there is none at the moment, and then the wait has begun.
pub(super) fn take<T: Plain>(
    ends: &Ends<T>,
    wait_began: &mut Option<Generation>,
) -> Option<Result<Option<T>, ChannelError>> {
    let began = *wait_began.get_or_insert_with(|| ends.queue().begin_waiting(false));
    match ends.poll_take(began) {
        Err(ChannelError::Empty) => None,
        done => {
            *wait_began = None;
            Some(done)
        }
    }
}

impl<T: Plain> fmt::Debug for PutFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attempts.ends.show("PutFuture", f)
    }
}

impl<T: Plain> fmt::Debug for TakeFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attempts.ends.show("TakeFuture", f)
    }
}
