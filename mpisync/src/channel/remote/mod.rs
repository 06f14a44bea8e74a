//! The queue of a channel that spans nodes.
//!
//! On each node the ranks put into one small queue in shared memory and take from another, so they
//! wait for the network only if these are full or empty. The node's server carries messages between
//! these queues and the [`Coordinator`] on the root's node. The coordinator decides which node may
//! put how many messages, and which node gets which messages.
//!
//! A node's [`NodeProxy`] sends a [`Report`] with the messages that were put, the number that was
//! taken, and the demand of its ranks. The coordinator answers with a [`Grant`]. Reports have
//! totals and not changes, so the coordinator knows by subtraction what is in flight.
//!
//! - *Room* is granted as credits, as in credit-based flow control. A credit is a free slot of the
//!   node's queue. It counts as used from the grant until the message is taken, so the capacity
//!   holds exactly. A node that keeps putting gets larger grants; unused credits are recalled when
//!   another node needs them.
//! - *Messages* are sent to nodes whose ranks wait, one for each rank. If only one node takes, it
//!   holds the lease and gets ever more messages ahead. As soon as another node waits, its
//!   remaining messages are recalled and come first, so messages never overtake each other on their
//!   way to one rank.
//! - The stream *ends* when all nodes are idle at once. This is stable: an idle node stays idle
//!   until it is sent something, so its report stays valid if nothing has been sent to it since.

mod coordinator;
mod gathered;
mod messages;
mod proxy;
mod quiet;
pub(crate) mod server;
#[cfg(test)]
mod tests;

pub(crate) use crate::channel::remote::coordinator::Coordinator;
use crate::channel::remote::messages::{Grant, Report};
pub(crate) use crate::channel::remote::proxy::NodeProxy;
