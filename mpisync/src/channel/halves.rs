//! The two ends of a channel.

#[cfg(doc)]
use crate::channel::RemoteChannel;
use crate::channel::ends::{Ends, Limit};
use crate::channel::error::{BulkError, ChannelError, PutError};
use crate::channel::future::{PutFuture, TakeFuture};
use crate::channel::iter::Iter;
#[cfg(feature = "futures")]
use crate::channel::stream::{ChannelSink, ChannelStream};
use crate::plain::Plain;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The end of a [`RemoteChannel`] that puts. When all ranks have dropped theirs, the stream ends.
pub struct Producer<T: Plain> {
    pub(super) ends: Rc<Ends<T>>,
}

/// The end of a [`RemoteChannel`] that takes. When all ranks have dropped theirs, putting is an
/// error.
pub struct Consumer<T: Plain> {
    pub(super) ends: Rc<Ends<T>>,
}

impl<T: Plain> Producer<T> {
    /// See [`RemoteChannel::claim`].
    pub fn claim(&self, messages: u64) {
        self.ends.claim(messages);
    }

    /// See [`RemoteChannel::put`].
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub fn put(&self, message: T) -> Result<(), PutError<T>> {
        self.ends.put(message, Limit::Never)
    }

    /// See [`RemoteChannel::try_put`].
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub fn try_put(&self, message: T) -> Result<(), PutError<T>> {
        self.ends.put(message, Limit::Try)
    }

    /// See [`RemoteChannel::put_timeout`].
    ///
    /// # Errors
    /// The same.
    pub fn put_timeout(&self, message: T, limit: Duration) -> Result<(), PutError<T>> {
        self.ends.put(message, Limit::For(limit))
    }

    /// See [`RemoteChannel::put_with`].
    ///
    /// # Errors
    /// The same.
    pub fn put_with<R>(&mut self, fill: impl FnOnce(&mut T) -> R) -> Result<R, ChannelError> {
        self.ends.put_with(fill, Limit::Never)
    }

    /// See [`RemoteChannel::put_slice`].
    ///
    /// # Errors
    /// The same.
    pub fn put_slice(&self, messages: &[T]) -> Result<(), BulkError> {
        self.ends.put_slice(messages)
    }

    /// See [`RemoteChannel::put_all`].
    ///
    /// # Errors
    /// The same.
    pub fn put_all(&self, messages: impl IntoIterator<Item = T>) -> Result<(), BulkError> {
        self.ends.put_all(messages)
    }

    /// See [`RemoteChannel::put_async`].
    ///
    /// # Errors
    /// The same.
    ///
    /// # Panics
    /// The same.
    pub fn put_async(&self, message: T) -> PutFuture<'_, T> {
        PutFuture::new(&self.ends, message)
    }

    /// See [`RemoteChannel::sink`].
    #[cfg(feature = "futures")]
    pub fn sink(&self) -> ChannelSink<'_, T> {
        ChannelSink::new(&self.ends)
    }
}

impl<T: Plain> Consumer<T> {
    /// See [`RemoteChannel::take`].
    ///
    /// # Panics
    /// The same.
    #[inline]
    #[track_caller]
    pub fn take(&self) -> Option<T> {
        self.ends
            .take(Limit::Never)
            .unwrap_or_else(|error| self.ends.give_up(&error))
    }

    /// See [`RemoteChannel::try_take`].
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub fn try_take(&self) -> Result<Option<T>, ChannelError> {
        self.ends.take(Limit::Try)
    }

    /// See [`RemoteChannel::take_timeout`].
    ///
    /// # Errors
    /// The same.
    pub fn take_timeout(&self, limit: Duration) -> Result<Option<T>, ChannelError> {
        self.ends.take(Limit::For(limit))
    }

    /// See [`RemoteChannel::take_with`].
    ///
    /// # Panics
    /// The same.
    #[track_caller]
    pub fn take_with<R>(&mut self, read: impl FnOnce(&T) -> R) -> Option<R> {
        self.ends
            .take_with(read, Limit::Never)
            .unwrap_or_else(|error| self.ends.give_up(&error))
    }

    /// See [`RemoteChannel::take_into`].
    ///
    /// # Panics
    /// The same.
    #[track_caller]
    pub fn take_into(&self, message: &mut T) -> bool {
        self.ends
            .take_into(message, Limit::Never)
            .unwrap_or_else(|error| self.ends.give_up(&error))
    }

    /// See [`RemoteChannel::take_many`].
    ///
    /// # Panics
    /// The same.
    #[track_caller]
    pub fn take_many(&self, messages: &mut Vec<T>, most: usize) -> usize {
        self.ends
            .take_many(messages, most, Limit::Never)
            .unwrap_or_else(|error| self.ends.give_up(&error))
    }

    /// See [`RemoteChannel::take_async`].
    ///
    /// # Errors
    /// The same.
    ///
    /// # Panics
    /// The same.
    pub fn take_async(&self) -> TakeFuture<'_, T> {
        TakeFuture::new(&self.ends)
    }

    /// See [`RemoteChannel::stream`].
    #[cfg(feature = "futures")]
    pub fn stream(&self) -> ChannelStream<'_, T> {
        ChannelStream::new(&self.ends)
    }

    /// See [`RemoteChannel::iter`].
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }
}

impl<T: Plain> Drop for Producer<T> {
    fn drop(&mut self) {
        self.ends.queue().close_producer();
    }
}

impl<T: Plain> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.ends.queue().close_consumer();
    }
}

impl<T: Plain> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ends.show("Producer", f)
    }
}

impl<T: Plain> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ends.show("Consumer", f)
    }
}
