//! A channel of messages of bytes.

use crate::failure::Failure;
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
    /// Those of `RemoteChannel::put_items_timeout`.
    pub fn put(&self, bytes: &[u8], limit: Limit) -> Result<(), ChannelError> {
        match limit {
            Limit::Try => self.0.try_put_items(bytes),
            Limit::For(limit) => self.0.put_items_timeout(bytes, limit),
        }
    }

    /// Takes a message and calls `receive` with its bytes. Returns false at the end of the stream.
    ///
    /// # Errors
    /// Those of `RemoteChannel::take_items_timeout`.
    pub fn take(&self, limit: Limit, receive: &mut dyn FnMut(&[u8])) -> Result<bool, ChannelError> {
        let message = match limit {
            Limit::Try => self.0.try_take_items()?,
            Limit::For(limit) => self.0.take_items_timeout(limit)?,
        };
        Ok(message.is_some_and(|message| {
            receive(&message);
            true
        }))
    }

    /// Promises that some rank will put so many more messages.
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
