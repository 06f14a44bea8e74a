//! A channel of messages whose size is known at run time.
//!
//! A channel of the library has messages of one type, whose size the compiler knows. Here is a channel
//! for each of a few sizes, and a message begins with its length.

use crate::failure::Failure;
use crate::handle::Object;
use crate::limit::Limit;
use mpi::topology::SimpleCommunicator;
use mpisync::{ChannelError, RemoteChannel};

/// The bytes of the length, with which a message begins.
const LENGTH: usize = size_of::<u64>();

/// The most bytes of a message.
pub const MOST: usize = 65536 - LENGTH;

/// A channel of messages of some size.
trait AnyChannel {
    /// How many bytes a message may have.
    fn room(&self) -> usize;
    /// The bytes have room in a message.
    fn put(&self, bytes: &[u8], limit: Limit) -> Result<(), ChannelError>;
    /// Calls `receive` with the bytes of a message, if one comes before the end of the stream.
    fn take(&self, limit: Limit, receive: &mut dyn FnMut(&[u8])) -> Result<bool, ChannelError>;
    fn claim(&self, messages: u64);
    fn len(&self) -> usize;
}

impl<const SIZE: usize> AnyChannel for RemoteChannel<[u8; SIZE]> {
    fn room(&self) -> usize {
        SIZE - LENGTH
    }

    fn put(&self, bytes: &[u8], limit: Limit) -> Result<(), ChannelError> {
        let mut message = [0; SIZE];
        let (length, rest) = message.split_at_mut(LENGTH);
        length.copy_from_slice(&(bytes.len() as u64).to_ne_bytes());
        rest[..bytes.len()].copy_from_slice(bytes);
        match limit {
            Limit::Try => self.try_put(message)?,
            Limit::For(limit) => self.put_timeout(message, limit)?,
        }
        Ok(())
    }

    fn take(&self, limit: Limit, receive: &mut dyn FnMut(&[u8])) -> Result<bool, ChannelError> {
        let message = match limit {
            Limit::Try => self.try_take()?,
            Limit::For(limit) => self.take_timeout(limit)?,
        };
        let Some(message) = message else {
            return Ok(false);
        };
        let (length, rest) = message.split_first_chunk().expect("there is a length");
        receive(&rest[..u64::from_ne_bytes(*length) as usize]);
        Ok(true)
    }

    fn claim(&self, messages: u64) {
        RemoteChannel::claim(self, messages);
    }

    fn len(&self) -> usize {
        RemoteChannel::len(self)
    }
}

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
    /// Makes a channel of messages of the smallest size that suffices. Collective.
    ///
    /// # Errors
    /// Those of an object; [`Kind::Argument`](crate::failure::Kind::Argument) if messages would be too
    /// large.
    pub fn make(self) -> Result<ByteChannel, Failure> {
        match self.message_size {
            0..=56 => self.make_of::<64>(),
            57..=248 => self.make_of::<256>(),
            249..=1016 => self.make_of::<1024>(),
            1017..=4088 => self.make_of::<4096>(),
            4089..=16376 => self.make_of::<16384>(),
            16377..=MOST => self.make_of::<65536>(),
            size => Err(Failure::argument(format!(
                "`message_size` is {size}, and a message has at most {MOST} bytes; put larger data into a region, and \
                 send where it lies"
            ))),
        }
    }

    fn make_of<const SIZE: usize>(self) -> Result<ByteChannel, Failure> {
        let channel = match self.comm {
            Some(comm) => RemoteChannel::<[u8; SIZE]>::builder(comm, self.capacity)
                .root(self.root)
                .name(self.name)
                .build()?,
            None => RemoteChannel::<[u8; SIZE]>::local(self.capacity)?,
        };
        Ok(ByteChannel(Box::new(channel)))
    }
}

/// A channel of messages of bytes.
pub struct ByteChannel(Box<dyn AnyChannel>);

impl ByteChannel {
    /// How many bytes a message may have.
    pub fn room(&self) -> usize {
        self.0.room()
    }

    /// Puts a message, which has at most [`room`](Self::room) bytes.
    ///
    /// # Errors
    /// Those of `RemoteChannel::put_timeout`.
    ///
    /// # Panics
    /// If the message is too long.
    pub fn put(&self, bytes: &[u8], limit: Limit) -> Result<(), ChannelError> {
        self.0.put(bytes, limit)
    }

    /// Takes a message and calls `receive` with its bytes. Returns false at the end of the stream.
    ///
    /// # Errors
    /// Those of `RemoteChannel::take_timeout`.
    pub fn take(&self, limit: Limit, receive: &mut dyn FnMut(&[u8])) -> Result<bool, ChannelError> {
        self.0.take(limit, receive)
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
        self.len() == 0
    }
}

impl Object for ByteChannel {
    const KIND: &'static str = "channel";
}
