//! What the protocol needs of a node, and what nodes say to each other about the lock.
//!
//! The protocol ([`writer`](super::writer), [`node_server`](super::node_server)) runs over anything
//! that is a [`Site`]: the memory and messages of real nodes ([`lock`](super::lock)), the small
//! world of the model checker, the simulator's clock.

use crate::rwlock::global::standing::{Standing, Turn};
use crate::rwlock::global::tree;
use crate::rwlock::global::tree::Node;
use crate::rwlock::node::Closed;
use serde::{Deserialize, Serialize};

/// A message about the lock. It goes to the server of a node, but for some answers, see [`Asker`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum LockMessage {
    /// To the home node: put `node` into the queue.
    Enqueue { node: Node },
    /// `successor` comes after the node that gets this.
    Link { successor: Node },
    /// The turn is handed over.
    Grant(Turn),
    /// From `root`: close the gates below, opened so many times so far, and tell `asker` when no
    /// reader is inside.
    Close {
        count: u32,
        root: Node,
        asker: Asker,
    },
    /// No reader is inside below a node that was asked.
    Drained { count: u32, asker: Asker },
    /// From `root`: open the gates below, for the so-manieth time.
    Open { count: u32, root: Node },
}

/// Who waits for the answer to a close.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Asker {
    /// The writer of this rank, which gets the answer itself.
    Writer(u32),
    /// The server of this node.
    Server(Node),
}

/// A node, as who acts for it sees it: its words, its part of the lock, and the way to the others.
pub(crate) trait Site {
    fn node(&self) -> Node;
    fn nodes(&self) -> u32;
    /// The node with the queue's tail.
    fn home(&self) -> Node;
    /// How many writers of a node may follow each other while another node waits.
    fn max_local_handovers(&self) -> u32;
    /// How many nodes each node tells in the tree of gates.
    fn fan_out(&self) -> u32 {
        tree::FAN_OUT
    }

    /// Where the node stands; only with its turn, as all up to `writers_wait`.
    fn standing(&self) -> Standing;
    fn set_standing(&self, standing: &Standing);
    fn take_successor(&self) -> Option<Node>;
    /// Takes up the turn, if it has been handed over.
    fn take_granted(&self) -> Option<Turn>;
    /// Lets the node's turn go.
    fn pass_turn(&self);
    /// Whether other writers of the node wait for its turn.
    fn writers_wait(&self) -> bool;

    /// Takes the node's turn, if nobody has or wants it.
    fn try_turn(&self) -> bool;
    /// The node behind this one.
    fn successor(&self) -> Option<Node>;
    fn has_arrived(&self) -> bool;
    /// On the home node: puts `node` at the queue's end; who was there before, if anybody was.
    fn exchange_tail(&self, node: Node) -> Option<Node>;
    /// As the server, or on the home node as who exchanged the tail.
    fn set_successor(&self, node: Node);
    /// As the server.
    fn put_granted(&self, turn: &Turn);

    /// Closes the node's gate, opened so many times; nothing if it has been opened again since.
    fn close_gate(&self, count: u32) -> Option<Closed>;
    fn open_gate(&self, count: u32);
    fn readers_have_left(&self, closed: Closed) -> bool;

    /// As a writer: who gets the answers to its close.
    fn asker(&self) -> Asker;
    /// As a writer: begins to count the answers.
    fn expect_answers(&self, count: u32);
    fn answers(&self, count: u32) -> u32;

    /// Sends a word to the server of another node; does not wait.
    fn tell(&self, node: Node, word: LockMessage);
    /// Sends [`LockMessage::Drained`].
    fn answer(&self, asker: Asker, count: u32);
}

/// The nodes below `node` in the tree from `root`.
pub(super) fn below(site: &impl Site, node: Node, root: Node) -> impl Iterator<Item = Node> {
    tree::children(node, root, site.nodes(), site.fan_out())
}

/// Sends a word down the tree from `root`; how many nodes it goes to from here.
pub(super) fn tell_below(site: &impl Site, root: Node, word: LockMessage) -> u32 {
    let below = below(site, site.node(), root);
    below.map(|node| site.tell(node, word)).count() as u32
}

/// On the home node: puts `node` into the queue. True if it comes behind the home node itself.
pub(super) fn enqueue_at_home(site: &impl Site, node: Node) -> bool {
    let before = site.exchange_tail(node).unwrap_or(site.node());
    if before == site.node() {
        site.set_successor(node);
        return true;
    }
    site.tell(before, LockMessage::Link { successor: node });
    false
}
