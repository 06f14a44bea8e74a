//! The errors of channels.

use crate::error::{LockError, WaitReport};
use std::fmt;
use std::time::Duration;

/// The reason why a call put or took no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The channel is full. Returned by calls that do not wait.
    #[error("the channel is full")]
    Full,
    /// The channel is empty. Returned by calls that do not wait.
    #[error("the channel is empty")]
    Empty,
    /// The channel stayed full, or empty, for the whole time limit.
    #[error("timed out after {waited:?}: the channel stayed full, or empty{report}")]
    Timeout {
        /// The time limit of the call.
        waited: Duration,
        /// The channel, the ranks that could have ended the wait, and what they are doing.
        report: WaitReport,
    },
    /// This wait is a part of a deadlock: ranks wait for each other, and none of their waits can end.
    /// Only with `MPISYNC_DEADLOCK=error` or [`on_deadlock`](crate::on_deadlock), and in calls without
    /// a time limit.
    #[error("deadlock: these ranks wait for each other, and none of these waits can end{report}")]
    Deadlock {
        /// The waits of all ranks of the deadlock, with their places.
        report: WaitReport,
    },
    /// All ranks have dropped their consumers, or died.
    #[error("all ranks have dropped their consumers or died, so no rank takes from the channel")]
    Closed,
    /// Messages promised with `claim` cannot come any more: all ranks have dropped their producers,
    /// died, or wait for messages themselves.
    #[error(
        "{messages} claimed messages were never put, and no rank is left that could put them; claim as many messages as are put: \
         the numbers of all calls of `claim` add up, and `claim_together` is for all ranks"
    )]
    Missing {
        /// The number of missing messages.
        messages: u64,
    },
    /// The channel is full, and this rank has the only consumer left, so no other rank can make
    /// room. Returned by calls without a time limit.
    #[error(
        "the channel is full, and only this rank still takes from it, so no other rank can make room; take messages before you \
         put more, drop this rank's consumer, or give the channel a larger capacity"
    )]
    OnlyConsumer,
    /// The call was made inside the closure of a `put_with` or `take_with` of the same channel, and
    /// might have waited for the closure's own slot.
    #[error(
        "this rank is inside `put_with` or `take_with` of the same channel, whose slot the call might wait for; use the \
         channel before or after that call"
    )]
    Nested,
    /// The message has more items than fit into a slot.
    #[error(
        "the message has {length} items, and the channel takes up to {longest}; put it in pieces, or make the channel for longer \
         messages"
    )]
    TooLong {
        /// The number of items of the message.
        length: usize,
        /// The most items of a message.
        longest: usize,
    },
    /// A host is lost: its leader has died, or it does not answer. Messages from other nodes cannot
    /// arrive any more. Only for channels that span nodes.
    #[error("no message of another host can arrive any more: {0}")]
    Lost(LockError),
    /// The function that the program has set by [`interrupt_waits`](crate::interrupt_waits) has ended the
    /// wait. Nothing was put or taken.
    #[error("the wait was interrupted, as the program has asked by `interrupt_waits`")]
    Interrupted,
    /// MPI was finalized.
    #[error(
        "MPI is finalized, and the other ranks may be gone; use channels while the universe is alive"
    )]
    Finalized,
}

/// A message that was not put, with the reason.
#[derive(Clone, PartialEq, Eq)]
pub struct PutError<T> {
    /// The message that was not put.
    pub message: T,
    /// The reason.
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

impl<T> std::error::Error for PutError<T> {}

impl<T> From<PutError<T>> for ChannelError {
    fn from(error: PutError<T>) -> Self {
        error.reason
    }
}

/// The reason why only some of many messages were put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{put} messages were put, and the next was not: {reason}")]
pub struct BulkError {
    /// The number of messages that were put. These are the first ones.
    pub put: usize,
    /// The reason why the next message was not put.
    pub reason: ChannelError,
}

impl From<BulkError> for ChannelError {
    fn from(error: BulkError) -> Self {
        error.reason
    }
}
