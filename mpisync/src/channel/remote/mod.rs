//! The queue of a channel over several nodes.
//!
//! On each node the ranks put into one queue in shared memory and take from another, both small, so
//! they never wait for the network unless these are full or empty. The node's server carries
//! messages between them and the server of the coordinator's node, where the channel is: the
//! [`Coordinator`] decides who may put how many, and who gets which.
//!
//! Servers say all at once: a node's [`NodeProxy`] sends a [`Report`], with the messages that were
//! put there, how many were taken, and what its ranks wait for; the coordinator answers with a
//! [`Grant`]. Reports give status and sums, not changes, so whatever is on its way in the meantime
//! is known by subtraction.
//!
//! - *Room* is given as credits: a credit is a slot of the node's queue that is open, and counts as used from the time it is
//!   granted until the message is taken, so that the capacity holds exactly. A node whose ranks go on putting gets more credits
//!   at a time; where others need them, those that are not used are called back.
//! - *Messages* are given to nodes whose ranks wait for them, one for each that waits. Where one node alone takes, it has the
//!   lease, and gets ever more ahead of time. As soon as another node waits, what is left there is called back and comes first,
//!   so that messages never overtake each other on their way to one rank.
//! - The *end* of a stream is when all nodes are idle at once. That is stable: an idle node stays so until it is sent
//!   something, so a report of it is as good as a look, if nothing has been sent to it since.

mod coordinator;
mod messages;
mod proxy;
pub(crate) mod server;
#[cfg(all(test, feature = "mpi"))]
mod tests;

pub(crate) use crate::channel::remote::coordinator::Coordinator;
use crate::channel::remote::messages::{Grant, Report};
pub(crate) use crate::channel::remote::proxy::NodeProxy;
