//! Taking messages.

use crate::channel::RemoteChannel;
use crate::channel::ends::CanTake;
use crate::channel::error::ChannelError;
use crate::channel::future::TakeFuture;
use crate::channel::iter::Iter;
use crate::channel::message::Message;
use crate::channel::shared::{Limit, Loan, Shared};
use crate::plain::Plain;
use std::time::Duration;

/// # Taking messages
impl<T: Plain, E: CanTake> RemoteChannel<T, E> {
    /// Takes the next message. Waits while the channel is empty. Returns `None` at the
    /// [end](crate::channel#the-end-of-a-stream) of the stream. Not collective.
    ///
    /// # Panics
    /// Where [`take_timeout`](Self::take_timeout) would return an error other than a timeout.
    #[inline]
    #[track_caller]
    pub fn take(&self) -> Option<T> {
        take_or_panic(&self.shared)
    }

    /// Takes the next message. Waits for at most `limit` while the channel is empty. Returns `None`
    /// at the end of the stream. Not collective. Pass [`Duration::MAX`] to wait indefinitely and
    /// still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], [`ChannelError::Missing`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`].
    #[track_caller]
    pub fn take_timeout(&self, limit: Duration) -> Result<Option<T>, ChannelError> {
        take(&self.shared, Limit::For(limit))
    }

    /// Takes the next message if there is one. Does not wait, except for the coordinator's answer
    /// if the channel spans nodes. Returns `None` at the end of the stream. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Empty`], [`ChannelError::Missing`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`].
    #[inline]
    pub fn try_take(&self) -> Result<Option<T>, ChannelError> {
        take(&self.shared, Limit::Try)
    }

    /// Takes the next message and copies it to `message`. Waits while the channel is empty. Returns
    /// whether there was a message; at the end of the stream `message` stays unchanged. Not
    /// collective. For large messages, which [`take`](Self::take) would put on the stack.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    #[track_caller]
    pub fn take_into(&self, message: &mut T) -> bool {
        match self.shared.reserve_messages(1, Limit::Never) {
            Ok(Some(mut taking)) => {
                taking.take_into(message);
                true
            }
            Ok(None) => false,
            Err(error) => self.shared.panic_with(&error),
        }
    }

    /// Takes the next message and calls `read` with a reference to it in its slot, without a copy.
    /// Waits while the channel is empty. Returns `None` at the end of the stream. Not collective.
    ///
    /// The message keeps its slot until `read` returns. `read` cannot use the channel, because a
    /// call inside it could wait for that slot: such a call does not compile, and through the other
    /// end of a [split](RemoteChannel::split) channel it is [`ChannelError::Nested`].
    ///
    /// # Panics
    /// As [`take`](Self::take). If `read` panics, the message is taken all the same.
    #[track_caller]
    pub fn take_with<R>(&mut self, read: impl FnOnce(&T) -> R) -> Option<R> {
        take_with(&self.shared, read, Limit::Never)
            .unwrap_or_else(|error| self.shared.panic_with(&error))
    }

    /// Takes up to `most` messages and adds them to `messages`. Waits while the channel is empty.
    /// Returns the number of messages; 0 at the end of the stream. Not collective.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    #[track_caller]
    pub fn take_many(&self, messages: &mut Vec<T>, most: usize) -> usize {
        take_many(&self.shared, messages, most, Limit::Never)
            .unwrap_or_else(|error| self.shared.panic_with(&error))
    }

    /// Takes the next message, as a future that waits while the channel is empty. `Ok(None)` at the
    /// end of the stream. Not collective.
    ///
    /// The message is taken in the poll that returns ready, so no message is lost if the future is
    /// dropped earlier, as by `select!` or a timeout. The rank does not count as one that waits in
    /// `take`: the stream ends when the producers are dropped, including that of this rank, or when
    /// the [claims](RemoteChannel::claim) are kept.
    ///
    /// ```
    /// let (producer, consumer) = mpisync::RemoteChannel::<f64>::local(16)?.split();
    /// producer.put(1.5)?;
    /// drop(producer);
    /// futures::executor::block_on(async {
    ///     assert_eq!(consumer.take_async().await, Ok(Some(1.5)));
    ///     assert_eq!(consumer.take_async().await, Ok(None));
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ChannelError::Missing`], [`ChannelError::Nested`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`].
    ///
    /// # Panics
    /// If the future is polled after it was ready.
    pub fn take_async(&self) -> TakeFuture<'_, T> {
        TakeFuture::new(&self.shared)
    }
}

/// # Taking all messages
impl<T: Message + ?Sized, E: CanTake> RemoteChannel<T, E> {
    /// Takes messages until the end of the stream. Each `next` is a [`take`](Self::take). Not
    /// collective.
    ///
    /// # Panics
    /// `next` panics as [`take`](Self::take).
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(&self.shared)
    }
}

#[inline]
#[track_caller]
pub(super) fn take_or_panic<T: Message + ?Sized>(shared: &Shared<T>) -> Option<T::Owned> {
    take(shared, Limit::Never).unwrap_or_else(|error| shared.panic_with(&error))
}

#[inline]
#[track_caller]
pub(super) fn take<T: Message + ?Sized>(
    shared: &Shared<T>,
    limit: Limit,
) -> Result<Option<T::Owned>, ChannelError> {
    let taking = shared.reserve_messages(1, limit)?;
    Ok(taking.map(|mut taking| T::take(&mut taking)))
}

#[track_caller]
pub(super) fn take_with<T: Plain, R>(
    shared: &Shared<T>,
    read: impl FnOnce(&T) -> R,
    limit: Limit,
) -> Result<Option<R>, ChannelError> {
    let taking = shared.reserve_messages(1, limit)?;
    Ok(taking.map(|taking| {
        let _loan = Loan::of(&shared.lent_to.taker);
        taking.take_with(read)
    }))
}

#[track_caller]
pub(super) fn take_many<T: Plain>(
    shared: &Shared<T>,
    messages: &mut Vec<T>,
    most: usize,
    limit: Limit,
) -> Result<usize, ChannelError> {
    if most == 0 {
        return Ok(0);
    }
    let Some(mut taking) = shared.reserve_messages(most, limit)? else {
        return Ok(0);
    };
    let count = taking.left();
    messages.reserve(count);
    messages.extend((0..count).map(|_| taking.take()));
    Ok(count)
}
