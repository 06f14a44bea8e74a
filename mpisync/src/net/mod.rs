//! The messages of objects between nodes, and a server on each node that answers them.
//!
//! Every rank has a [`Network`] for each communicator that spans nodes. The lowest rank of a node,
//! its leader, also runs the node's server: it has the [`Service`]s of all objects and acts for the
//! node whether or not its ranks are inside mpisync. Messages are handled by the first thread of
//! the leader that polls: one that waits, or the progress thread.
//!
//! An object has a [`Link`], and for each of its parts a [`Port`] with its own message type. Only
//! the object knows the meaning of its messages.

mod acknowledgements;
mod envelope;
mod link;
#[cfg(feature = "mpi")]
mod network;
#[cfg(not(feature = "mpi"))]
#[path = "without_mpi.rs"]
mod network;
mod requests;
mod service;
mod tail;

pub(crate) use crate::net::acknowledgements::{Acknowledged, Acknowledgements};
use crate::net::envelope::{Envelope, To};
pub(crate) use crate::net::link::{Link, Port};
pub(crate) use crate::net::network::{Network, Piece, level_below_multiple, mpi_has_ended};
pub(crate) use crate::net::requests::{Remote, Request};
pub(crate) use crate::net::service::{Client, Message, Progress, Service};
pub(crate) use crate::net::tail::Tail;
use crate::shm::buffer::Buffer;

impl Network {
    /// This rank.
    pub(crate) fn rank(&self) -> u32 {
        self.topology().rank()
    }

    /// This rank's node.
    pub(crate) fn node(&self) -> u32 {
        self.topology().node()
    }

    pub(crate) fn nodes(&self) -> u32 {
        self.topology().nodes()
    }

    fn envelope(&self, to: To) -> Envelope {
        Envelope {
            from: self.rank(),
            to,
        }
    }

    fn send_to_leader(&self, node: u32, bytes: impl Into<Buffer>) {
        self.send(self.topology().leader(node), bytes);
    }

    fn send_to_other_leaders(&self, bytes: &[u8]) {
        for node in self.topology().other_nodes() {
            self.send_to_leader(node, bytes.to_vec());
        }
    }
}
