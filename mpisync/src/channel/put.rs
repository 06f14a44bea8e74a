//! Putting messages.

use crate::channel::RemoteChannel;
use crate::channel::ends::CanPut;
use crate::channel::error::{BulkError, ChannelError, PutError};
use crate::channel::future::PutFuture;
use crate::channel::message::Message;
use crate::channel::shared::{Limit, Loan, Shared};
use crate::plain::Plain;
use std::time::Duration;

/// # Putting messages
impl<T: Plain, E: CanPut> RemoteChannel<T, E> {
    /// Puts a message. Waits while the channel is full. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::OnlyConsumer`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`], with the message.
    #[inline]
    #[track_caller]
    pub fn put(&self, message: T) -> Result<(), PutError<T>> {
        put(&self.shared, message, Limit::Never)
    }

    /// Puts a message. Waits for at most `limit` while the channel is full. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], [`ChannelError::Closed`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`], with the message. With
    /// [`Duration::MAX`] also [`ChannelError::OnlyConsumer`].
    #[track_caller]
    pub fn put_timeout(&self, message: T, limit: Duration) -> Result<(), PutError<T>> {
        put(&self.shared, message, Limit::For(limit))
    }

    /// Puts a message if there is room. Does not wait, except for the coordinator's answer if the
    /// channel spans nodes. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Full`], [`ChannelError::Closed`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`], with the message.
    #[inline]
    pub fn try_put(&self, message: T) -> Result<(), PutError<T>> {
        put(&self.shared, message, Limit::Try)
    }

    /// Puts a message that `fill` writes in place, without a copy. Waits while the channel is full.
    /// Not collective.
    ///
    /// The slot initially has the bytes of an older message, or zeros; bytes that `fill` does not
    /// write stay unchanged. Ranks that take wait until `fill` returns, so prepare everything
    /// before. If `fill` panics, no message is put.
    ///
    /// `fill` cannot use the channel, because a call inside it could wait for the unfinished
    /// message: such a call does not compile, and through the other end of a
    /// [split](RemoteChannel::split) channel it is [`ChannelError::Nested`].
    ///
    /// ```
    /// let mut channel = mpisync::RemoteChannel::<[u8; 1 << 20]>::local(2)?;
    /// channel.put_with(|slot| slot.fill(7))?;
    /// let sum = channel.take_with(|message| message.iter().map(|&byte| u64::from(byte)).sum::<u64>());
    /// assert_eq!(sum, Some(7 << 20));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::OnlyConsumer`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`].
    #[track_caller]
    pub fn put_with<R>(&mut self, fill: impl FnOnce(&mut T) -> R) -> Result<R, ChannelError> {
        put_with(&self.shared, fill)
    }

    /// Puts all messages of a slice, as many at a time as there is room for. Waits while the
    /// channel is full. Not collective. Messages of other ranks may come in between.
    ///
    /// # Errors
    /// Those of [`put`](Self::put), with the number of messages that were put before.
    #[track_caller]
    pub fn put_slice(&self, messages: &[T]) -> Result<(), BulkError> {
        let mut put = 0;
        let all = put_slice(&self.shared, messages, &mut put);
        all.map_err(|reason| BulkError { put, reason })
    }

    /// Puts all messages of an iterator, some KiB at a time. Waits while the channel is full. Not
    /// collective. Messages of other ranks may come in between.
    ///
    /// # Errors
    /// Those of [`put`](Self::put), with the number of messages that were put before.
    #[track_caller]
    pub fn put_all(&self, messages: impl IntoIterator<Item = T>) -> Result<(), BulkError> {
        // Collected before slots are reserved: the iterator may be slow, and all ranks that take
        // would wait for it.
        const BYTES: usize = 16 << 10;
        let most = (BYTES / size_of::<T>().max(1)).max(1);
        let mut messages = messages.into_iter();
        let mut put = 0;
        loop {
            let some: Vec<T> = messages.by_ref().take(most).collect();
            self.put_slice(&some).map_err(|error| BulkError {
                put: put + error.put,
                ..error
            })?;
            put += some.len();
            if some.len() < most {
                return Ok(());
            }
        }
    }

    /// Puts a message, as a future that waits while the channel is full. Not collective.
    ///
    /// The message is put in the poll that returns ready, so a future that is dropped earlier puts
    /// nothing. Futures do not queue: if several wait, the first one polled puts.
    ///
    /// The future also waits if only this rank takes from the channel, because another future of
    /// the rank may take.
    ///
    /// ```
    /// use mpisync::{ChannelError, RemoteChannel};
    ///
    /// let (producer, consumer) = RemoteChannel::<f64>::local(1)?.split();
    /// let put = async {
    ///     producer.put_async(1.5).await?;
    ///     drop(consumer);
    ///     producer.put_async(2.5).await
    /// };
    /// let error = futures::executor::block_on(put).expect_err("nobody takes");
    /// assert_eq!((error.message, error.reason), (2.5, ChannelError::Closed));
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::Nested`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`], with the message.
    ///
    /// # Panics
    /// If the future is polled after it was ready.
    pub fn put_async(&self, message: T) -> PutFuture<'_, T> {
        PutFuture::new(&self.shared, message)
    }
}

/// # Promises
impl<T: Message + ?Sized, E: CanPut> RemoteChannel<T, E> {
    /// Promises that this rank or another one will put `messages` more messages. Not collective: the
    /// promises of several ranks add up. Call [`claim_together`](Self::claim_together) where all
    /// ranks promise the same messages. Waits for the coordinator's answer if the channel spans
    /// nodes. Does nothing once MPI is finalized.
    ///
    /// Once all promised messages were taken, `take` returns `None` and does not wait until
    /// producers close. Promise before any rank begins to take (with a barrier in between), or a
    /// rank may find the promises made so far kept, and end early.
    pub fn claim(&self, messages: u64) {
        if !self.shared.has_ended() {
            self.shared.takes.claim(messages);
        }
    }

    /// Promises, on all ranks, that all of them together will put `messages` more messages. Called by
    /// all ranks with the same number, which counts once: that of rank 0. Does not wait for other
    /// ranks. Between two streams synchronize the ranks before this call.
    ///
    /// ```
    /// let channel = mpisync::RemoteChannel::<f64>::local(16)?;
    /// channel.claim_together(2);
    /// channel.put_slice(&[0.5, 1.5])?;
    /// assert_eq!(channel.iter().sum::<f64>(), 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn claim_together(&self, messages: u64) {
        if self.shared.rank() == 0 {
            self.claim(messages);
        }
    }
}

#[inline]
#[track_caller]
pub(super) fn put<T: Plain>(
    shared: &Shared<T>,
    message: T,
    limit: Limit,
) -> Result<(), PutError<T>> {
    match shared.reserve_slots(1, limit) {
        Ok(mut putting) => {
            putting.put(&message);
            Ok(())
        }
        Err(reason) => Err(PutError { message, reason }),
    }
}

#[track_caller]
pub(super) fn put_with<T: Plain, R>(
    shared: &Shared<T>,
    fill: impl FnOnce(&mut T) -> R,
) -> Result<R, ChannelError> {
    let putting = shared.reserve_slots(1, Limit::Never)?;
    let _loan = Loan::of(&shared.lent_to.putter);
    Ok(putting.put_with(fill))
}

/// Counts the messages that were `put`, also if an error ends this.
#[track_caller]
pub(super) fn put_slice<T: Plain>(
    shared: &Shared<T>,
    messages: &[T],
    put: &mut usize,
) -> Result<(), ChannelError> {
    while *put < messages.len() {
        let left = &messages[*put..];
        let mut putting = shared.reserve_slots(left.len(), Limit::Never)?;
        for message in &left[..putting.left()] {
            putting.put(message);
            *put += 1;
        }
    }
    Ok(())
}
