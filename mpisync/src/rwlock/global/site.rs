//! What the protocol needs of a node, and the messages about the lock.
//!
//! The protocol ([`writer`](super::writer), [`node_server`](super::node_server)) runs on any
//! [`Site`]: the memory and messages of real nodes ([`lock`](super::lock)), the small world of the
//! model checker, the clock of the simulator.

use crate::rwlock::global::token::{QueueState, Token};
use crate::rwlock::global::tree;
use crate::rwlock::global::tree::Node;
use crate::rwlock::global::version::Version;
use crate::rwlock::node::Closed;
use serde::{Deserialize, Serialize};

/// A message about the lock to the server of a node. Some answers go to a rank, see [`Asker`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum LockMessage {
    /// To the home node: put `node` into the queue.
    Enqueue { node: Node },
    /// To a node: `successor` is behind you in the queue.
    Link { successor: Node },
    /// The token is handed over.
    Grant(Token),
    /// From `root`: close the gates below, opened `count` times so far, and tell `asker` when all
    /// readers have left. `version` is that of the data.
    Close {
        count: u32,
        root: Node,
        asker: Asker,
        version: Version,
    },
    /// The answer to `Close`: all readers below have left.
    Drained { count: u32, asker: Asker },
    /// From `root`: open the gates below, for the `count`th time. `version` is that of the data.
    Open {
        count: u32,
        root: Node,
        version: Version,
    },
}

impl LockMessage {
    /// The version of the data that a node must have before it acts on the message.
    pub(crate) fn version(&self) -> Option<Version> {
        match *self {
            LockMessage::Grant(Token { version, .. })
            | LockMessage::Close { version, .. }
            | LockMessage::Open { version, .. } => Some(version),
            LockMessage::Enqueue { .. }
            | LockMessage::Link { .. }
            | LockMessage::Drained { .. } => None,
        }
    }
}

/// The receiver of the answer to a close.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Asker {
    /// This rank, as a writer.
    Writer(u32),
    /// The server of this node.
    Server(Node),
}

/// A node as one of its writers or its server sees it: its memory, its part of the lock, and the
/// connection to the other nodes.
pub(crate) trait Site {
    fn node(&self) -> Node;
    fn nodes(&self) -> u32;
    /// The node with the queue's tail.
    fn home(&self) -> Node;
    /// How many writers of a node may follow each other while another node waits.
    fn max_local_handovers(&self) -> u32;
    /// The number of children of a node in the tree of gates.
    fn fan_out(&self) -> u32 {
        tree::FAN_OUT
    }

    /// The state of the node. This and all methods up to `writers_wait` need its turn.
    fn queue_state(&self) -> QueueState;
    fn set_queue_state(&self, state: &QueueState);
    fn take_successor(&self) -> Option<Node>;
    /// Takes the token, if it has been handed over.
    fn take_granted(&self) -> Option<Token>;
    /// Releases the node's turn.
    fn pass_turn(&self);
    /// Whether other writers of the node wait for its turn.
    fn writers_wait(&self) -> bool;

    /// Takes the node's turn if nobody has it or wants it.
    fn try_turn(&self) -> bool;
    /// The node behind this one in the queue.
    fn successor(&self) -> Option<Node>;
    fn has_arrived(&self) -> bool;
    /// On the home node: puts `node` at the end of the queue. Returns the former last node, if any.
    fn exchange_tail(&self, node: Node) -> Option<Node>;
    /// As the server, or on the home node as the rank that exchanged the tail.
    fn set_successor(&self, node: Node);
    /// As the server.
    fn put_granted(&self, token: &Token);

    /// Closes the node's gate, opened `count` times. Returns `None` if it has been opened again
    /// since.
    fn close_gate(&self, count: u32) -> Option<Closed>;
    fn open_gate(&self, count: u32);
    fn readers_have_left(&self, closed: Closed) -> bool;
    /// The version of this node's copy of the data.
    fn version(&self) -> Version;

    /// As a writer: the receiver of the answers to its close.
    fn asker(&self) -> Asker;
    /// As a writer: begins to count the answers.
    fn expect_answers(&self, count: u32);
    fn answers(&self, count: u32) -> u32;

    /// Sends a message to the server of another node; does not wait.
    fn send(&self, node: Node, message: LockMessage);
    /// Sends [`LockMessage::Drained`].
    fn answer(&self, asker: Asker, count: u32);

    /// The children of `node` in the tree from `root`.
    fn children(&self, node: Node, root: Node) -> impl Iterator<Item = Node> {
        tree::children(node, root, self.nodes(), self.fan_out())
    }

    /// Sends a message to the children of this node in the tree from `root`. Returns their number.
    fn send_down(&self, root: Node, message: LockMessage) -> u32 {
        let children = self.children(self.node(), root);
        children.map(|node| self.send(node, message)).count() as u32
    }
}
