//! Channels as streams and sinks.

use crate::channel::RemoteChannel;
use crate::channel::ends::{CanPut, CanTake};
use crate::channel::error::ChannelError;
use crate::channel::future::{Retry, put, take};
use crate::channel::message::Message;
use crate::channel::ring::Generation;
use crate::channel::shared::Shared;
use futures_core::stream::{FusedStream, Stream};
use futures_sink::Sink;
use std::borrow::Borrow;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Takes messages until the end of the stream or an error; see [`RemoteChannel::stream`].
#[must_use = "streams do nothing unless they are polled"]
pub struct ChannelStream<'a, T: Message + ?Sized> {
    retry: Retry<'a, T>,
    wait_began: Option<Generation>,
    is_over: bool,
}

/// Puts messages; see [`RemoteChannel::sink`].
#[must_use = "sinks do nothing unless they are polled"]
pub struct ChannelSink<'a, T: Message + ?Sized> {
    retry: Retry<'a, T>,
    /// A message that lost its room to a message of another rank or task.
    held: Option<T::Owned>,
}

impl<T: Message + ?Sized, E: CanTake> RemoteChannel<T, E> {
    /// Takes messages until the end of the stream, as a stream of the `futures` crates. Each item
    /// is a [`take_async`](Self::take_async). The stream ends after an error. Not collective.
    ///
    /// ```
    /// use futures::TryStreamExt;
    ///
    /// let (producer, consumer) = mpisync::RemoteChannel::<u64>::local(16)?.split();
    /// producer.put_slice(&[1, 2, 3])?;
    /// drop(producer);
    /// let messages: Vec<u64> = futures::executor::block_on(consumer.stream().try_collect())?;
    /// assert_eq!(messages, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stream(&self) -> ChannelStream<'_, T> {
        ChannelStream::new(&self.shared)
    }
}

impl<T: Message + ?Sized, E: CanPut> RemoteChannel<T, E> {
    /// Puts messages, as a sink of the `futures` crates. Not collective.
    ///
    /// The sink is ready when there is room, and puts a message as soon as it has it. Only if
    /// another rank or task puts in between, the sink holds the message, one at most, and puts it
    /// when it is polled next: to become ready, to flush or to close. So flush the sink before you
    /// drop it, as `send` does and `feed` does not. Closing the sink only flushes it; the stream
    /// ends when the producers are dropped.
    ///
    /// ```
    /// use futures::{SinkExt, StreamExt, stream};
    ///
    /// let (producer, consumer) = mpisync::RemoteChannel::<u64>::local(16)?.split();
    /// let mut messages = stream::iter(1..=3).map(Ok);
    /// futures::executor::block_on(producer.sink().send_all(&mut messages))?;
    /// drop(producer);
    /// assert_eq!(consumer.iter().sum::<u64>(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sink(&self) -> ChannelSink<'_, T> {
        ChannelSink::new(&self.shared)
    }
}

impl<'a, T: Message + ?Sized> ChannelStream<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>) -> Self {
        ChannelStream {
            retry: Retry::take(shared),
            wait_began: None,
            is_over: false,
        }
    }
}

impl<'a, T: Message + ?Sized> ChannelSink<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>) -> Self {
        ChannelSink {
            retry: Retry::put(shared),
            held: None,
        }
    }

    /// Puts the held message, if there is one.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        if let Some(message) = &self.held {
            // After an error it is still held, so that no later flush seems to succeed.
            ready!(
                self.retry
                    .poll(context, |shared| put(shared, message.borrow()))
            )?;
            self.held = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Message + ?Sized> Stream for ChannelStream<'_, T> {
    type Item = Result<T::Owned, ChannelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        let attempt = |shared: &_| take(shared, &mut this.wait_began);
        let next = ready!(this.retry.poll(context, attempt)).transpose();
        this.is_over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

impl<T: Message + ?Sized> FusedStream for ChannelStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

// A message is copied when it is put, and never pinned.
impl<T: Message + ?Sized> Unpin for ChannelSink<'_, T> {}

impl<T: Message + ?Sized> Sink<T::Owned> for ChannelSink<'_, T> {
    type Error = ChannelError;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ChannelError>> {
        ready!(self.poll_held(context))?;
        self.retry.poll(context, |shared| {
            let room = shared.check_usable();
            match room.and_then(|()| Ok(shared.puts().check_room()?)) {
                Err(ChannelError::Full) => None,
                room => Some(room),
            }
        })
    }

    fn start_send(mut self: Pin<&mut Self>, message: T::Owned) -> Result<(), ChannelError> {
        assert!(
            self.held.is_none(),
            "`start_send` comes after a `poll_ready` that was ready"
        );
        put(self.retry.shared, message.borrow()).unwrap_or_else(|| {
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

impl<T: Message + ?Sized> fmt::Debug for ChannelStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.retry.shared.fmt("ChannelStream", f)
    }
}

impl<T: Message + ?Sized> fmt::Debug for ChannelSink<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.retry.shared.fmt("ChannelSink", f)
    }
}
