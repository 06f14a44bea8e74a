//! Messages of varying length.

use crate::channel::RemoteChannel;
use crate::channel::ends::{CanPut, CanTake, Ends};
use crate::channel::error::ChannelError;
use crate::channel::future::{PutFuture, TakeFuture};
use crate::channel::message::Carried;
use crate::channel::ring::memory::MessageLayout;
use crate::channel::shared::{Limit, Loan, Shared};
use crate::channel::take::{take, take_or_panic};
use crate::error::CreateError;
use crate::plain::Plain;
use std::time::Duration;

/// # Messages of varying length
///
/// A message of a `RemoteChannel<[T]>` is a slice of up to a number of items. A rank that takes one gets
/// a `Vec`, or a reference to the items in their slot.
///
/// ```
/// use mpisync::RemoteChannel;
///
/// let lines = RemoteChannel::<[u8]>::local_slices(16, 80)?;
/// lines.put_items(b"short")?;
/// lines.put_items(b"")?;
/// assert_eq!(lines.take_items(), Some(b"short".to_vec()));
/// assert_eq!(lines.take_items(), Some(vec![]));
/// assert!(lines.put_items(&[0; 81]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<T: Plain> RemoteChannel<[T]> {
    /// Makes a channel for this process alone, with room for `capacity` messages of up to `longest`
    /// items each. Needs no MPI, neither to run nor (without the feature `mpi`) to build.
    ///
    /// # Errors
    /// [`CreateError::Capacity`], [`CreateError::Memory`].
    pub fn local_slices(capacity: usize, longest: usize) -> Result<Self, CreateError> {
        let () = RemoteChannel::<T>::ASSERT_ALIGNED;
        Self::local_with(MessageLayout::of_slices::<T>(longest), capacity)
    }
}

impl<T: Plain, E: Ends> RemoteChannel<[T], E> {
    /// The most items that a message may have.
    pub fn longest(&self) -> usize {
        self.shared.takes.memory.most_items()
    }
}

/// # Putting slices
impl<T: Plain, E: CanPut> RemoteChannel<[T], E> {
    /// Puts a message. Waits while the channel is full. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::TooLong`], [`ChannelError::Closed`], [`ChannelError::OnlyConsumer`],
    /// [`ChannelError::Nested`], [`ChannelError::Lost`], [`ChannelError::Finalized`].
    #[track_caller]
    pub fn put_items(&self, message: &[T]) -> Result<(), ChannelError> {
        put(&self.shared, message, Limit::Never)
    }

    /// Puts a message. Waits for at most `limit` while the channel is full. Not collective.
    ///
    /// # Errors
    /// Those of [`put_items`](Self::put_items), and [`ChannelError::Timeout`]. [`ChannelError::OnlyConsumer`] only
    /// with [`Duration::MAX`].
    #[track_caller]
    pub fn put_items_timeout(&self, message: &[T], limit: Duration) -> Result<(), ChannelError> {
        put(&self.shared, message, Limit::For(limit))
    }

    /// Puts a message if there is room. Does not wait, except for the coordinator's answer if the
    /// channel spans nodes. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Full`], [`ChannelError::TooLong`], [`ChannelError::Closed`],
    /// [`ChannelError::Nested`], [`ChannelError::Lost`], [`ChannelError::Finalized`].
    pub fn try_put_items(&self, message: &[T]) -> Result<(), ChannelError> {
        put(&self.shared, message, Limit::Try)
    }

    /// Puts a message of `length` items that `fill` writes in place, without a copy. Waits while the
    /// channel is full. Not collective. The items have the bytes of older messages, or zeros, and what
    /// is said at [`put_with`](RemoteChannel::put_with) applies.
    ///
    /// ```
    /// let mut channel = mpisync::RemoteChannel::<[f64]>::local_slices(2, 1000)?;
    /// channel.put_items_with(3, |items| items.fill(1.5))?;
    /// assert_eq!(channel.take_items_with(|items| items.iter().sum::<f64>()), Some(4.5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`put_items`](Self::put_items).
    #[track_caller]
    pub fn put_items_with<R>(
        &mut self,
        length: usize,
        fill: impl FnOnce(&mut [T]) -> R,
    ) -> Result<R, ChannelError> {
        let longest = self.longest();
        if length > longest {
            return Err(ChannelError::TooLong { length, longest });
        }
        let putting = self.shared.reserve_slots(1, Limit::Never)?;
        let _loan = Loan::of(&self.shared.lent_to.putter);
        Ok(putting.put_with(length, fill))
    }

    /// Puts a message, as a future that waits while the channel is full. Not collective. See
    /// [`put_async`](RemoteChannel::put_async).
    ///
    /// # Errors
    /// [`ChannelError::TooLong`], [`ChannelError::Closed`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`], with the message.
    ///
    /// # Panics
    /// If the future is polled after it was ready.
    pub fn put_items_async(&self, message: Vec<T>) -> PutFuture<'_, [T]> {
        PutFuture::new(&self.shared, message)
    }
}

/// # Taking slices
impl<T: Plain, E: CanTake> RemoteChannel<[T], E> {
    /// Takes the next message. Waits while the channel is empty. Returns `None` at the
    /// [end](crate::channel#the-end-of-a-stream) of the stream. Not collective.
    ///
    /// # Panics
    /// Where [`take_items_timeout`](Self::take_items_timeout) would return an error other than a timeout.
    #[track_caller]
    pub fn take_items(&self) -> Option<Vec<T>> {
        take_or_panic(&self.shared)
    }

    /// Takes the next message. Waits for at most `limit` while the channel is empty. Returns `None`
    /// at the end of the stream. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], [`ChannelError::Missing`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`].
    #[track_caller]
    pub fn take_items_timeout(&self, limit: Duration) -> Result<Option<Vec<T>>, ChannelError> {
        take(&self.shared, Limit::For(limit))
    }

    /// Takes the next message if there is one. Does not wait, except for the coordinator's answer if
    /// the channel spans nodes. Returns `None` at the end of the stream. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Empty`], [`ChannelError::Missing`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`].
    pub fn try_take_items(&self) -> Result<Option<Vec<T>>, ChannelError> {
        take(&self.shared, Limit::Try)
    }

    /// Takes the next message into `message`, in place of what is there, and uses its memory again.
    /// Waits while the channel is empty. Returns whether there was a message; at the end of the stream
    /// `message` stays unchanged. Not collective.
    ///
    /// # Panics
    /// As [`take_items`](Self::take_items).
    #[track_caller]
    pub fn take_items_into(&self, message: &mut Vec<T>) -> bool {
        match self.shared.reserve_messages(1, Limit::Never) {
            Ok(Some(taking)) => {
                taking.take_with(|items| {
                    message.clear();
                    message.extend_from_slice(items);
                });
                true
            }
            Ok(None) => false,
            Err(error) => self.shared.panic_with(&error),
        }
    }

    /// Takes the next message and calls `read` with its items in their slot, without a copy. Waits
    /// while the channel is empty. Returns `None` at the end of the stream. Not collective. What is
    /// said at [`take_with`](RemoteChannel::take_with) applies.
    ///
    /// # Panics
    /// As [`take_items`](Self::take_items). If `read` panics, the message is taken all the same.
    #[track_caller]
    pub fn take_items_with<R>(&mut self, read: impl FnOnce(&[T]) -> R) -> Option<R> {
        match self.shared.reserve_messages(1, Limit::Never) {
            Ok(taking) => {
                let taking = taking?;
                let _loan = Loan::of(&self.shared.lent_to.taker);
                Some(taking.take_with(read))
            }
            Err(error) => self.shared.panic_with(&error),
        }
    }

    /// Takes the next message, as a future that waits while the channel is empty. `Ok(None)` at the
    /// end of the stream. Not collective. See [`take_async`](RemoteChannel::take_async) of values of
    /// one type.
    ///
    /// # Errors
    /// [`ChannelError::Missing`], [`ChannelError::Nested`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`].
    ///
    /// # Panics
    /// If the future is polled after it was ready.
    pub fn take_items_async(&self) -> TakeFuture<'_, [T]> {
        TakeFuture::new(&self.shared)
    }
}

#[track_caller]
pub(super) fn put<T: Plain>(
    shared: &Shared<[T]>,
    message: &[T],
    limit: Limit,
) -> Result<(), ChannelError> {
    message.check(&shared.puts().memory)?;
    let mut putting = shared.reserve_slots(1, limit)?;
    putting.put(message);
    Ok(())
}
