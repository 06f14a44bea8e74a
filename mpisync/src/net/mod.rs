//! What goes between nodes: messages of objects, and a server on each node that answers them.
//!
//! Every rank has a [`Network`] for each communicator that spans nodes. The lowest rank of a node,
//! its leader, also runs the node's server: it has the [`Service`]s of all objects and acts for the
//! node whether or not its ranks are inside mpisync. Messages are handled by whichever thread of
//! the leader polls first: one that waits for something, or the progress [`thread`].
//!
//! An object has a [`Link`], and for each of its parts a [`Port`] with a message type of its own.
//! What an object's messages mean is known to the object alone.

mod acknowledgements;
mod envelope;
mod link;
#[cfg(feature = "mpi")]
mod network;
mod requests;
#[cfg(feature = "mpi")]
mod schedule;
#[cfg(feature = "mpi")]
mod server;
mod service;
#[cfg(feature = "mpi")]
mod thread;
#[cfg(not(feature = "mpi"))]
mod without_mpi;

pub(crate) use crate::net::acknowledgements::{Acknowledged, Acknowledgements};
use crate::net::envelope::{Envelope, To};
pub(crate) use crate::net::link::{Link, Port};
#[cfg(feature = "mpi")]
pub(crate) use crate::net::network::Network;
pub(crate) use crate::net::requests::{Remote, Request};
pub(crate) use crate::net::service::{Client, Message, Progress, Service};
#[cfg(not(feature = "mpi"))]
pub(crate) use crate::net::without_mpi::Network;

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

    fn send_to_leader(&self, node: u32, bytes: Vec<u8>) {
        self.send(self.topology().leader(node), bytes);
    }

    fn send_to_other_leaders(&self, bytes: &[u8]) {
        for node in self.topology().other_nodes() {
            self.send_to_leader(node, bytes.to_vec());
        }
    }
}

/// Whether `MPI_Finalize` has begun in this process.
#[inline]
pub(crate) fn mpi_has_ended() -> bool {
    #[cfg(feature = "mpi")]
    return crate::rsmpi::is_finalized();
    #[cfg(not(feature = "mpi"))]
    return false;
}
