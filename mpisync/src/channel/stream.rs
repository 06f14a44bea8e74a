//! Messages as streams and sinks, with the feature `futures`.

use crate::channel::attempts::Attempts;
use crate::channel::ends::Ends;
use crate::channel::error::ChannelError;
use crate::channel::future::{put, take};
use crate::channel::ring::Generation;
use crate::plain::Plain;
use futures_core::stream::{FusedStream, Stream};
use futures_sink::Sink;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Takes messages until the end of the stream, or up to an error; see
/// [`RemoteChannel::stream`](super::RemoteChannel::stream).
#[must_use = "streams do nothing unless they are polled"]
pub struct ChannelStream<'a, T: Plain> {
    attempts: Attempts<'a, T>,
    wait_began: Option<Generation>,
    is_over: bool,
}

/// Puts messages; see [`Producer::sink`](super::Producer::sink).
#[must_use = "sinks do nothing unless they are polled"]
pub struct ChannelSink<'a, T: Plain> {
    attempts: Attempts<'a, T>,
    /// A message for which there was room until another one took it.
    held: Option<T>,
}

impl<'a, T: Plain> ChannelStream<'a, T> {
    pub(super) fn new(ends: &'a Ends<T>) -> Self {
        ChannelStream {
            attempts: Attempts::to_take(ends),
            wait_began: None,
            is_over: false,
        }
    }
}

impl<'a, T: Plain> ChannelSink<'a, T> {
    pub(super) fn new(ends: &'a Ends<T>) -> Self {
        ChannelSink {
            attempts: Attempts::to_put(ends),
            held: None,
        }
    }

    /// Puts the message that is held, if there is one.
    fn poll_held(&mut self, context: &Context<'_>) -> Poll<Result<(), ChannelError>> {
        if let Some(message) = &self.held {
            // After an error it is still held, so that no later flush seems to succeed.
            ready!(self.attempts.poll(context, |ends| put(ends, message)))?;
            self.held = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Plain> Stream for ChannelStream<'_, T> {
    type Item = Result<T, ChannelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        let attempt = |ends: &_| take(ends, &mut this.wait_began);
        let next = ready!(this.attempts.poll(context, attempt)).transpose();
        this.is_over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

impl<T: Plain> FusedStream for ChannelStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

// A message is copied from where it lies, and never pinned.
impl<T: Plain> Unpin for ChannelSink<'_, T> {}

impl<T: Plain> Sink<T> for ChannelSink<'_, T> {
    type Error = ChannelError;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ChannelError>> {
        ready!(self.poll_held(context))?;
        self.attempts.poll(context, |ends| match ends.check_room() {
            Err(ChannelError::Full) => None,
            done => Some(done),
        })
    }

    fn start_send(mut self: Pin<&mut Self>, message: T) -> Result<(), ChannelError> {
        assert!(
            self.held.is_none(),
            "`start_send` comes after a `poll_ready` that was ready"
        );
        put(self.attempts.ends, &message).unwrap_or_else(|| {
            self.held = Some(message);
            Ok(())
        })
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ChannelError>> {
        self.poll_held(context)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ChannelError>> {
        self.poll_held(context)
    }
}

impl<T: Plain> fmt::Debug for ChannelStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attempts.ends.show("ChannelStream", f)
    }
}

impl<T: Plain> fmt::Debug for ChannelSink<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attempts.ends.show("ChannelSink", f)
    }
}
