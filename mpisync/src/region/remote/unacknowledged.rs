//! A small change with which a writer leaves, and which no node acknowledges: it makes a [`Version`] of the items, for which
//! the lock waits in the place of the writer. If the writer dies, its messages may be lost. A node that waits for one then
//! asks the writer's node, which sends the change from its own copy.

use crate::net::Port;
use crate::region::remote::{ReplicaMessage, Replicas, Runs, SMALL};
use crate::rwlock::global::copy::{NodeCopy, PLACES};
use crate::rwlock::global::tree::{FAN_OUT, Node, children};
use crate::rwlock::global::version::Version;
use crate::shm::copy::CopyBytes;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The change, from the node above in the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Unacknowledged {
    version: Version,
    /// The writer's node; none if the message is for one node only.
    root: Option<Node>,
    pub(super) runs: Runs,
}

/// Whether a change of these ranges of bytes is small enough.
pub(in crate::region) fn is_small(changed: &[Range<usize>]) -> bool {
    let bytes: usize = changed.iter().map(Range::len).sum();
    changed.len() <= PLACES && bytes < SMALL
}

/// Sends these ranges of bytes, which are small, to all other nodes, together with what the lock sends next. The caller
/// holds the write lock, makes this version, leaves the lock, and calls [`Replicas::send_held_back`].
pub(in crate::region) fn send(
    replicas: &Replicas,
    bytes: &CopyBytes,
    changed: &[Range<usize>],
    version: Version,
) {
    let Replicas { port, copy, .. } = replicas;
    // Before any node has it: then all nodes get it, even if this rank dies here.
    copy.make(version, changed);
    let message = Unacknowledged {
        version,
        root: Some(port.net().node()),
        runs: Runs::of(bytes, changed.iter().cloned()),
    };
    message.send_down(port, Port::send_with_next);
}

impl Unacknowledged {
    fn send_down(self, port: &Port, send: impl Fn(&Port, Node, &ReplicaMessage)) {
        let Some(root) = self.root else {
            return;
        };
        let net = port.net();
        let message = ReplicaMessage::Unacknowledged(Box::new(self));
        children(net.node(), root, net.nodes(), FAN_OUT)
            .for_each(|node| send(port, node, &message));
    }

    /// As the server: puts the change into the node's copy, unless that has it, and passes it on.
    pub(super) fn receive(self, port: &Port, copy: &NodeCopy, bytes: &CopyBytes) {
        if !copy.version().includes(self.version) {
            self.runs.put(bytes);
            copy.set_version(self.version);
            self.send_down(port, Port::send);
        }
    }
}

/// As the server: if the node waits for a version of a writer that has died, asks the writer's node for it.
pub(super) fn ask_again(port: &Port, copy: &NodeCopy) {
    let net = port.net();
    let is_dead = |version: &Version| !net.domain().rank_is_alive(version.writer as usize);
    if let Some(version) = copy.awaited().filter(is_dead) {
        let there = net.topology().node_of(version.writer);
        let node = net.node();
        port.send(there, &ReplicaMessage::Repeat { node, version });
    }
}

/// As the server of the writer's node: sends the change that has made this version to `node` again. No rank has changed these
/// bytes since, because the lock waits for `node`.
pub(super) fn repeat(
    port: &Port,
    copy: &NodeCopy,
    bytes: &CopyBytes,
    node: Node,
    version: Version,
) {
    if let Some(places) = copy.made(version) {
        let message = Unacknowledged {
            version,
            root: None,
            runs: Runs::of(bytes, places),
        };
        port.send(node, &ReplicaMessage::Unacknowledged(Box::new(message)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_small_by_its_bytes_and_by_its_places() {
        let halves = |bytes: usize| [0..bytes / 2, SMALL..SMALL + bytes.div_ceil(2)];
        assert!(is_small(&halves(SMALL - 1)));
        assert!(!is_small(&halves(SMALL)));
        let rows = |count: usize| (0..count).map(|row| row * 100..row * 100 + 8);
        assert!(is_small(&rows(PLACES).collect::<Vec<_>>()));
        assert!(!is_small(&rows(PLACES + 1).collect::<Vec<_>>()));
    }
}
