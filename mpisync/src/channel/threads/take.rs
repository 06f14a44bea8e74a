//! Threads that take.

use crate::channel::ends::{CanTake, Ends};
use crate::channel::error::ChannelError;
use crate::channel::message::Message;
use crate::channel::ring::NoMessage;
use crate::channel::shared::Limit;
use crate::channel::take;
use crate::channel::threads::{End, SharedChannel};
use crate::plain::Plain;
use crate::shm::wait::Stop;
use std::iter;
use std::time::Duration;

/// # Taking messages
impl<T: Plain, E: CanTake> SharedChannel<'_, T, E> {
    /// Takes the next message. Waits while the channel is empty, and while other threads of this rank take that
    /// came before. Returns `None` at the [end](crate::channel#threads) of the stream. Not collective.
    ///
    /// # Panics
    /// Where [`take_timeout`](Self::take_timeout) would return an error other than a timeout.
    #[track_caller]
    pub fn take(&self) -> Option<T> {
        self.take_or_panic()
    }

    /// Takes the next message. Waits for at most `limit`. Returns `None` at the end of the stream. Not
    /// collective. Pass [`Duration::MAX`] to wait indefinitely and still get failures as errors instead of a
    /// panic.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], [`ChannelError::Missing`], [`ChannelError::Nested`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`].
    #[track_caller]
    pub fn take_timeout(&self, limit: Duration) -> Result<Option<T>, ChannelError> {
        self.take_within(Limit::For(limit))
    }

    /// Takes the next message if there is one, and no other thread of this rank takes. Does not wait, except for
    /// the coordinator's answer if the channel spans nodes. Returns `None` at the end of the stream. Not
    /// collective.
    ///
    /// # Errors
    /// [`ChannelError::Empty`], also if another thread of this rank takes, and those of
    /// [`take_timeout`](Self::take_timeout) but the timeout.
    pub fn try_take(&self) -> Result<Option<T>, ChannelError> {
        self.take_within(Limit::Try)
    }

    /// Takes up to `most` messages and adds them to `messages`. Waits as [`take`](Self::take) does. Returns the
    /// number of messages; 0 at the end of the stream. Not collective.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    #[track_caller]
    pub fn take_many(&self, messages: &mut Vec<T>, most: usize) -> usize {
        let taken = self.in_turn(self.taking(), Limit::Never, |shared, left| {
            take::take_many(shared, messages, most, left)
        });
        taken.unwrap_or_else(|error| self.channel.shared.panic_with(&error))
    }

    /// Takes the next message and calls `read` with a reference to it in its slot, as
    /// [`RemoteChannel::take_with`](crate::RemoteChannel::take_with) does. Waits as [`take`](Self::take) does.
    /// Returns `None` at the end of the stream. Not collective. A call for the channel inside `read` is
    /// [`ChannelError::Nested`].
    ///
    /// # Panics
    /// As [`take`](Self::take). If `read` panics, the message is taken all the same.
    #[track_caller]
    pub fn take_with<R>(&self, read: impl FnOnce(&T) -> R) -> Option<R> {
        let taken = self.in_turn(self.taking(), Limit::Never, |shared, left| {
            take::take_with(shared, read, left)
        });
        taken.unwrap_or_else(|error| self.channel.shared.panic_with(&error))
    }
}

/// # Taking slices
impl<T: Plain, E: CanTake> SharedChannel<'_, [T], E> {
    /// Takes the next message. Waits while the channel is empty, and while other threads of this rank take that
    /// came before. Returns `None` at the [end](crate::channel#threads) of the stream. Not collective.
    ///
    /// # Panics
    /// Where [`take_items_timeout`](Self::take_items_timeout) would return an error other than a timeout.
    #[track_caller]
    pub fn take_items(&self) -> Option<Vec<T>> {
        self.take_or_panic()
    }

    /// Takes the next message. Waits for at most `limit`. Returns `None` at the end of the stream. Not
    /// collective. Pass [`Duration::MAX`] to wait indefinitely and still get failures as errors instead of a
    /// panic.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], [`ChannelError::Missing`], [`ChannelError::Nested`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`].
    #[track_caller]
    pub fn take_items_timeout(&self, limit: Duration) -> Result<Option<Vec<T>>, ChannelError> {
        self.take_within(Limit::For(limit))
    }

    /// Takes the next message if there is one, and no other thread of this rank takes. Does not wait, except for
    /// the coordinator's answer if the channel spans nodes. Returns `None` at the end of the stream. Not
    /// collective.
    ///
    /// # Errors
    /// [`ChannelError::Empty`], also if another thread of this rank takes, and those of
    /// [`take_items_timeout`](Self::take_items_timeout) but the timeout.
    pub fn try_take_items(&self) -> Result<Option<Vec<T>>, ChannelError> {
        self.take_within(Limit::Try)
    }
}

/// # Taking all messages
impl<T: Message + ?Sized, E: CanTake> SharedChannel<'_, T, E> {
    /// Takes messages until the end of the stream. Each `next` waits as [`take`](SharedChannel::take) does. Not
    /// collective.
    ///
    /// # Panics
    /// `next` panics as [`take`](SharedChannel::take).
    pub fn iter(&self) -> impl Iterator<Item = T::Owned> {
        iter::from_fn(|| self.take_or_panic()).fuse()
    }

    #[track_caller]
    fn take_or_panic(&self) -> Option<T::Owned> {
        self.take_within(Limit::Never)
            .unwrap_or_else(|error| self.channel.shared.panic_with(&error))
    }

    #[track_caller]
    fn take_within(&self, limit: Limit) -> Result<Option<T::Owned>, ChannelError> {
        self.in_turn(self.taking(), limit, take::take)
    }
}

impl<T: Message + ?Sized, E: Ends> SharedChannel<'_, T, E> {
    fn taking(&self) -> End<'_> {
        End {
            turns: &self.takers,
            call: "take",
            taken: ChannelError::Empty,
            stopped,
        }
    }
}

fn stopped(stop: Stop) -> ChannelError {
    match NoMessage::none_at_end::<()>(Err(NoMessage::from(stop))) {
        Err(error) => error,
        Ok(_) => unreachable!("a wait for other threads does not end the stream"),
    }
}
