//! How a change of a region travels to other nodes.
//!
//! The writer holds the lock, so no rank of any node is inside. It sends what it has changed to the
//! servers of other nodes, which put it into their nodes' copies and pass it on, in the same order:
//! down a tree what fits into one message, along a chain what does not and where there are few
//! nodes. Many small parts go in one message; large ones go in pieces from memory to memory, each
//! behind a word that says where it belongs. When a node and all below it have everything, it
//! answers; when the writer has all answers, the change is published, and the lock is let go.

mod follower;
mod publisher;

use crate::region::remote::follower::Follower;
pub(crate) use crate::region::remote::publisher::publish;

use crate::net::{Acknowledgements, Link, Message, Port};
use crate::rwlock::global::site::Asker;
use crate::rwlock::global::tree;
use crate::rwlock::global::tree::Node;
use crate::shm::mapping::Mapping;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Parts with fewer bytes are put into messages together.
const SMALL: usize = 32 << 10;
/// How many bytes such a message has at most.
const BATCH: usize = 64 << 10;
/// How many bytes a piece of a large part has at most.
const PIECE: usize = 1 << 20;

/// To how many nodes each node passes a change on that does not fit into one message. The time to
/// send it counts then: in a chain each node sends it once, and while a piece is passed on the next
/// one comes. Only where the chain would be long, it takes less time until the last node has the
/// first piece if each node sends twice.
fn fan_out(nodes: u32) -> u32 {
    const LONG: u32 = 8;
    if nodes <= LONG { 1 } else { 2 }
}

/// The copies of a region on other nodes.
pub(crate) struct Replicas {
    port: Port,
    /// Of the nodes that have this rank's last change, with all below them.
    acknowledged: Arc<Acknowledgements>,
}

impl Replicas {
    /// Opens the port of a region's items, and begins to serve it on a leader, whose node's copy
    /// lies in `memory`.
    pub(crate) fn open(link: &Link, memory: Option<&Arc<Mapping>>) -> Self {
        let port = link.port();
        let acknowledged = Arc::default();
        port.listen(&acknowledged);
        if let (Some(_), Some(memory)) = (link.leader(), memory) {
            port.serve(Follower::new(port.clone(), Arc::clone(memory)));
        }
        Replicas { port, acknowledged }
    }

    /// Lets go of this node's copy, which no rank uses any more.
    pub(crate) fn close(&self) {
        self.port.end_service();
    }
}

/// A message to a node.
#[derive(Debug, Serialize, Deserialize)]
enum ReplicaMessage {
    /// A part of a change.
    Change(Box<Change>),
    /// The sender's node, and all below it, have the change of this number.
    Changed { number: u32 },
}

impl Message for ReplicaMessage {
    fn size(&self) -> usize {
        match self {
            ReplicaMessage::Change(change) => change.size(),
            ReplicaMessage::Changed { .. } => 0,
        }
    }
}

/// A part of a change, from the node above in the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The writer's rank.
    writer: u32,
    /// Which one of the writer's changes.
    number: u32,
    /// The writer's node.
    root: Node,
    /// Who sent this, and waits for the answer.
    pub(crate) asker: Asker,
    /// The shape of the tree.
    fan_out: u32,
    part: Part,
    is_last: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Part {
    /// Where each of several runs of bytes begins and how many it has, and all of them, one after
    /// the other.
    Small {
        places: Vec<(u64, u64)>,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// The place of a piece, which comes by itself.
    Large { start: u64, length: u64 },
}

impl Change {
    /// About how many bytes it has as a message.
    pub(crate) fn size(&self) -> usize {
        const PLACE: usize = 10;
        match &self.part {
            Part::Small { places, bytes } => places.len() * PLACE + bytes.len(),
            Part::Large { .. } => 0,
        }
    }

    fn children(&self, node: Node, nodes: u32) -> impl Iterator<Item = Node> + use<> {
        tree::children(node, self.root, nodes, self.fan_out)
    }
}

/// The same change as it is cut into parts.
fn parts(
    changed: &[Range<usize>],
    mut append: impl FnMut(&mut Vec<u8>, Range<usize>),
) -> impl Iterator<Item = Part> {
    let mut ranges = changed.iter().cloned().peekable();
    std::iter::from_fn(move || {
        let range = ranges.peek_mut()?;
        if range.len() >= SMALL {
            let start = range.start;
            let length = range.len().min(PIECE);
            range.start += length;
            if range.start == range.end {
                ranges.next();
            }
            let (start, length) = (start as u64, length as u64);
            return Some(Part::Large { start, length });
        }
        let (mut places, mut bytes) = (Vec::new(), Vec::new());
        while let Some(range) =
            ranges.next_if(|range| range.len() < SMALL && bytes.len() + range.len() <= BATCH)
        {
            places.push((range.start as u64, range.len() as u64));
            append(&mut bytes, range);
        }
        Some(Part::Small { places, bytes })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_of_a_change_in_order() {
        let changed = [
            3..10,
            20..20 + SMALL - 1,
            100_000..100_000 + SMALL,
            200_000..200_000 + 2 * PIECE + 5,
            5_000_000..5_000_001,
        ];
        let memory: Vec<u8> = (0..5_000_001u32).map(|byte| byte as u8).collect();
        let mut covered = Vec::new();
        let mut sent = 0;
        for part in parts(&changed, |to, place| to.extend_from_slice(&memory[place])) {
            sent += 1;
            match part {
                Part::Small { places, bytes } => {
                    assert!(bytes.len() <= BATCH);
                    let mut rest = bytes.as_slice();
                    for (start, length) in places {
                        let (now, later) = rest.split_at(length as usize);
                        assert_eq!(now, &memory[start as usize..][..now.len()]);
                        rest = later;
                        covered.extend(start as usize..(start + length) as usize);
                    }
                }
                Part::Large { start, length } => {
                    covered.extend(start as usize..(start + length) as usize);
                }
            }
        }
        assert_eq!(sent, 5);
        assert!(covered.into_iter().eq(changed.into_iter().flatten()));
    }

    #[test]
    fn many_small_parts_go_together() {
        let changed: Vec<_> = (0..10_000).map(|row| row * 800..row * 800 + 8).collect();
        let sent = parts(&changed, |to, place| to.resize(to.len() + place.len(), 0));
        assert_eq!(sent.count(), 2);
    }
}
