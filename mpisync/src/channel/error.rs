//! What can go wrong with a channel.

use std::fmt;
use std::time::Duration;

/// Why nothing was put into a channel or taken from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The channel is full. Of the forms that do not wait.
    #[error("the channel is full")]
    Full,
    /// There is no message at the moment. Of the forms that do not wait.
    #[error("the channel is empty")]
    Empty,
    /// The time was up.
    #[error("the channel stayed as it was for {waited:?}")]
    Timeout {
        /// How long this rank was ready to wait.
        waited: Duration,
    },
    /// All ranks have dropped their consumers, or died.
    #[error("no rank is left that takes from the channel")]
    Closed,
    /// Messages that were promised with `claim` will not come: all ranks have dropped their
    /// producers, died, or wait for messages themselves.
    #[error(
        "{messages} messages that were claimed were never put, and no rank is left that could; claim as many as are put"
    )]
    Missing {
        /// How many.
        messages: u64,
    },
    /// The channel is full, and this rank has the only consumer that is left: no other rank can
    /// make room. Of the forms that would wait for ever.
    #[error(
        "the channel is full, and no rank but this one is left that takes from it, so nobody would make room; take messages \
         before you put more, drop this rank's consumer, or give the channel more room"
    )]
    OnlyConsumer,
    /// The call was made inside a closure that this rank gave to `put_with` or `take_with` of the
    /// same channel, and might have waited for the closure's own slot.
    #[error(
        "this rank is inside `put_with` or `take_with` of the same channel, whose slot the call might wait for; use the \
         channel before that or after"
    )]
    Nested,
    /// Of a channel over several nodes: the lowest rank of this node has died, whose process
    /// carried the messages.
    #[error(
        "the lowest rank of this node has died, and its process carried the channel's messages; what other nodes put cannot be \
         had any more"
    )]
    Lost,
    /// MPI was finalized.
    #[error(
        "MPI is finalized, and the other ranks may be gone; use channels while the universe is alive"
    )]
    Finalized,
}

/// A message that was not put, and why.
#[derive(Clone, PartialEq, Eq)]
pub struct PutError<T> {
    /// The message.
    pub message: T,
    /// Why it was not put.
    pub reason: ChannelError,
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PutError");
        debug.field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the message was not put: {}", self.reason)
    }
}

impl<T> std::error::Error for PutError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

impl<T> From<PutError<T>> for ChannelError {
    fn from(error: PutError<T>) -> Self {
        error.reason
    }
}

/// Why not all messages of many were put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{put} messages were put, and the next was not: {reason}")]
pub struct BulkError {
    /// How many were put: the first ones.
    pub put: usize,
    /// Why the next was not.
    #[source]
    pub reason: ChannelError,
}

impl From<BulkError> for ChannelError {
    fn from(error: BulkError) -> Self {
        error.reason
    }
}
