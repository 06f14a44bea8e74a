//! A channel of messages of bytes.

use crate::failure::{Failure, Kind};
use crate::handle::Object;
use crate::limit::Limit;
use mpi::topology::SimpleCommunicator;
use mpisync::{ChannelError, RemoteChannel};

/// The arguments of a channel of bytes.
pub struct Arguments<'a> {
    /// The communicator; `None` for this process alone.
    pub comm: Option<&'a SimpleCommunicator>,
    /// The name in messages.
    pub name: &'a str,
    /// The rank on whose node the messages lie.
    pub root: i32,
    /// How many messages it holds.
    pub capacity: usize,
    /// How many bytes a message has at most.
    pub message_size: usize,
}

impl Arguments<'_> {
    /// Makes a channel. Collective.
    ///
    /// # Errors
    /// Those of an object.
    #[track_caller]
    pub fn make(self) -> Result<ByteChannel, Failure> {
        let channel = match self.comm {
            Some(comm) => RemoteChannel::slices_builder(comm, self.capacity, self.message_size)
                .root(self.root)
                .name(self.name)
                .build()?,
            None => RemoteChannel::local_slices(self.capacity, self.message_size)?,
        };
        Ok(ByteChannel(channel))
    }
}

/// A channel of messages of bytes.
pub struct ByteChannel(RemoteChannel<[u8]>);

impl ByteChannel {
    /// How many bytes a message may have.
    pub fn room(&self) -> usize {
        self.0.longest()
    }

    /// Puts a message.
    ///
    /// # Errors
    /// [`Kind::Size`] if it is too long, and those of `RemoteChannel::put_items_timeout`.
    pub fn put(&self, bytes: &[u8], limit: Limit) -> Result<(), Failure> {
        let outcome = match limit {
            Limit::Try => self.0.try_put_items(bytes),
            Limit::For(limit) => self.0.put_items_timeout(bytes, limit),
        };
        outcome.map_err(|error| match error {
            ChannelError::TooLong { length, longest } => {
                let message = format!(
                    "the message has {length} bytes, and the channel takes {longest}; make the channel with a larger message size"
                );
                Failure::new(Kind::Size, message)
            }
            error => error.into(),
        })
    }

    /// Takes a message; none at the end of the stream.
    ///
    /// # Errors
    /// Those of `RemoteChannel::take_items_timeout`.
    pub fn take(&self, limit: Limit) -> Result<Option<Vec<u8>>, Failure> {
        Ok(match limit {
            Limit::Try => self.0.try_take_items()?,
            Limit::For(limit) => self.0.take_items_timeout(limit)?,
        })
    }

    /// Promises `messages` more messages, which this rank or another one will put.
    pub fn claim(&self, messages: u64) {
        self.0.claim(messages);
    }

    /// How many messages the channel has now.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Object for ByteChannel {
    const KIND: &'static str = "channel";
}
