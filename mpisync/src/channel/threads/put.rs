//! Threads that put.

use crate::channel::ends::{CanPut, Ends};
use crate::channel::error::{BulkError, ChannelError, PutError};
use crate::channel::message::Message;
use crate::channel::ring::NoRoom;
use crate::channel::shared::Limit;
use crate::channel::threads::{End, SharedChannel};
use crate::channel::{put, slices};
use crate::plain::Plain;
use std::time::Duration;

/// # Putting messages
impl<T: Plain, E: CanPut> SharedChannel<'_, T, E> {
    /// Puts a message. Waits while the channel is full, and while other threads of this rank put that came
    /// before. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::Nested`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`], with the message.
    #[track_caller]
    pub fn put(&self, message: T) -> Result<(), PutError<T>> {
        self.put_within(message, Limit::Never)
    }

    /// Puts a message. Waits for at most `limit`. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], and those of [`put`](Self::put), with the message.
    #[track_caller]
    pub fn put_timeout(&self, message: T, limit: Duration) -> Result<(), PutError<T>> {
        self.put_within(message, Limit::For(limit))
    }

    /// Puts a message if there is room, and no other thread of this rank puts. Does not wait, except for the
    /// coordinator's answer if the channel spans nodes. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Full`], also if another thread of this rank puts, and those of [`put`](Self::put), with
    /// the message.
    pub fn try_put(&self, message: T) -> Result<(), PutError<T>> {
        self.put_within(message, Limit::Try)
    }

    /// Puts all messages of a slice, as many at a time as there is room for. Waits as [`put`](Self::put) does.
    /// Not collective. Messages of other ranks may come in between, those of other threads of this rank do not.
    ///
    /// # Errors
    /// Those of [`put`](Self::put), with the number of messages that were put before.
    #[track_caller]
    pub fn put_slice(&self, messages: &[T]) -> Result<(), BulkError> {
        let mut put = 0;
        let all = self.in_turn(self.putting(), Limit::Never, |shared, _| {
            put::put_slice(shared, messages, &mut put)
        });
        all.map_err(|reason| BulkError { put, reason })
    }

    /// Puts a message that `fill` writes in place, as [`RemoteChannel::put_with`](crate::RemoteChannel::put_with)
    /// does. Waits as [`put`](Self::put) does. Not collective. A call for the channel inside `fill` is
    /// [`ChannelError::Nested`].
    ///
    /// # Errors
    /// Those of [`put`](Self::put).
    #[track_caller]
    pub fn put_with<R>(&self, fill: impl FnOnce(&mut T) -> R) -> Result<R, ChannelError> {
        self.in_turn(self.putting(), Limit::Never, |shared, _| {
            put::put_with(shared, fill)
        })
    }

    #[track_caller]
    fn put_within(&self, message: T, limit: Limit) -> Result<(), PutError<T>> {
        let put = self.in_turn(self.putting(), limit, |shared, left| {
            shared.reserve_slots(1, left)?.put(&message);
            Ok(())
        });
        put.map_err(|reason| PutError { message, reason })
    }
}

/// # Putting slices
impl<T: Plain, E: CanPut> SharedChannel<'_, [T], E> {
    /// Puts a message. Waits while the channel is full, and while other threads of this rank put that came
    /// before. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::TooLong`], [`ChannelError::Closed`], [`ChannelError::Nested`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`].
    #[track_caller]
    pub fn put_items(&self, message: &[T]) -> Result<(), ChannelError> {
        self.put_items_within(message, Limit::Never)
    }

    /// Puts a message. Waits for at most `limit`. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], and those of [`put_items`](Self::put_items).
    #[track_caller]
    pub fn put_items_timeout(&self, message: &[T], limit: Duration) -> Result<(), ChannelError> {
        self.put_items_within(message, Limit::For(limit))
    }

    /// Puts a message if there is room, and no other thread of this rank puts. Does not wait, except for the
    /// coordinator's answer if the channel spans nodes. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Full`], also if another thread of this rank puts, and those of
    /// [`put_items`](Self::put_items).
    pub fn try_put_items(&self, message: &[T]) -> Result<(), ChannelError> {
        self.put_items_within(message, Limit::Try)
    }

    #[track_caller]
    fn put_items_within(&self, message: &[T], limit: Limit) -> Result<(), ChannelError> {
        self.in_turn(self.putting(), limit, |shared, left| {
            slices::put(shared, message, left)
        })
    }
}

impl<T: Message + ?Sized, E: Ends> SharedChannel<'_, T, E> {
    fn putting(&self) -> End<'_> {
        End {
            turns: &self.putters,
            call: "put",
            taken: ChannelError::Full,
            stopped: |stop| NoRoom::from(stop).into(),
        }
    }
}
