//! The connection of an object to its counterparts on other nodes.

use crate::net::envelope::{Address, To};
use crate::net::{Client, Message, Network, Piece, Service};
use crate::shm::block::Block;
use crate::shm::buffer::Buffer;
use crate::shm::copy::CopyBytes;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// An object on several nodes, as one rank sees it.
///
/// All ranks open its ports in the same order, while the object is made.
pub(crate) struct Link {
    net: Arc<Network>,
    object: u64,
    home: u32,
    /// On a leader, the object's memory as its services see it.
    leader: Option<Arc<Block>>,
    /// How many ports there are.
    ports: AtomicU8,
}

impl Link {
    /// Joins the object of this number, whose home is the node `home`. On a leader, `block` is the
    /// object's memory as the node's server sees it.
    pub(crate) fn new(net: &Arc<Network>, object: u64, home: u32, block: Option<Block>) -> Self {
        let leader = block.map(Arc::new);
        if let Some(block) = &leader {
            net.keep(object, home, Arc::clone(block));
        }
        Link {
            net: Arc::clone(net),
            object,
            home,
            leader,
            ports: AtomicU8::new(0),
        }
    }

    /// The home node of the object.
    pub(crate) fn home(&self) -> u32 {
        self.home
    }

    /// Whether this rank's node is the home node.
    pub(crate) fn is_home(&self) -> bool {
        self.home == self.net.node()
    }

    /// On a leader, the object's memory as its services see it.
    pub(crate) fn leader(&self) -> Option<&Arc<Block>> {
        self.leader.as_ref()
    }

    /// Opens a port for the next part of the object.
    pub(crate) fn port(&self) -> Port {
        let part = self.ports.fetch_add(1, Ordering::Relaxed);
        Port::new(&self.net, self.object, part)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.net.leave(self.object);
    }
}

/// The connection of one part of an object to its counterparts on other ranks.
#[derive(Clone)]
pub(crate) struct Port {
    net: Arc<Network>,
    address: Address,
}

impl Port {
    pub(crate) fn new(net: &Arc<Network>, object: u64, part: u8) -> Self {
        Port {
            net: Arc::clone(net),
            address: Address { object, part },
        }
    }

    pub(crate) fn net(&self) -> &Network {
        &self.net
    }

    /// Passes this rank's messages to `client` from now on.
    pub(crate) fn listen<C: Client>(&self, client: &Arc<C>) {
        self.net.listen(self.address, Arc::clone(client) as _);
    }

    /// As the leader: passes this node's messages to `service` from now on.
    pub(crate) fn serve(&self, service: impl Service) {
        self.net.serve(self.address, Box::new(service));
    }

    /// As the leader: ends this node's service.
    pub(crate) fn end_service(&self) {
        self.net.end_service(self.address);
    }

    /// Sends a message to the service on a node; does not wait.
    pub(crate) fn send(&self, node: u32, message: &impl Message) {
        let leader = self.net.topology().leader(node);
        self.net.send(leader, self.to_service(message));
    }

    /// Sends a message to the service on a node together with the next one to that node; the caller ends with
    /// [`send_held_back`](Self::send_held_back). Does not wait.
    pub(crate) fn send_with_next(&self, node: u32, message: &impl Message) {
        let leader = self.net.topology().leader(node);
        self.net.send_with_next(leader, self.to_service(message));
    }

    /// Sends the messages that go with the next one, if there was no next one.
    pub(crate) fn send_held_back(&self) {
        self.net.send_held_back();
    }

    /// Sends a message, and behind it the bytes of `tail`, to the service on a node; does not wait.
    pub(crate) fn send_with_tail(&self, node: u32, message: &impl Message, mut tail: Buffer) {
        let leader = self.net.topology().leader(node);
        tail.prepend(&self.to_service(message));
        self.net.send(leader, tail);
    }

    /// Sends a message to the services on all other nodes; does not wait.
    pub(crate) fn send_to_others(&self, message: &impl Message) {
        self.net.send_to_other_leaders(&self.to_service(message));
    }

    /// Sends a message to a rank's client; does not wait.
    pub(crate) fn send_to_rank(&self, rank: u32, message: &impl Message) {
        let envelope = self.net.envelope(To::Client(self.address));
        self.net.send(rank, envelope.with(message));
    }

    fn to_service(&self, message: &impl Message) -> Vec<u8> {
        let envelope = self.net.envelope(To::Service(self.address));
        envelope.with(message)
    }
}

/// Large values, which travel beside messages.
impl Port {
    /// Sends a message to the service on another node, and beside it the bytes in `place`.
    pub(crate) fn send_piece(
        &self,
        node: u32,
        message: &impl Message,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> Piece {
        let leader = self.net.topology().leader(node);
        self.net
            .send_piece(leader, self.to_service(message), bytes, place)
    }

    /// Begins to receive the bytes beside a message from `rank`.
    pub(crate) fn receive_piece(&self, rank: u32, bytes: &CopyBytes, place: Range<usize>) -> Piece {
        self.net.receive_piece(rank, bytes, place)
    }
}
