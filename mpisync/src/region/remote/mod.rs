//! The replication of changes to other nodes.
//!
//! The writer holds the lock, or a part with the items that have changed, so no other rank of any
//! node accesses these items. It sends them to the servers of other nodes, which apply them to their
//! nodes' copies and forward them in the same order. A change that fits into one message goes along a tree; a larger one goes along a
//! chain if there are few nodes. Small parts share a message; large parts go in pieces from memory
//! to memory, each after a message with its position. A node acknowledges a change when it and all
//! nodes below it have it; when the writer has all acknowledgements, it releases the lock or the part. A small change that a
//! writer leaves behind is not acknowledged (`unacknowledged`).

mod replica;
mod sender;
mod unacknowledged;

use crate::region::remote::replica::Replica;
pub(super) use crate::region::remote::sender::publish;
use crate::region::remote::unacknowledged::Unacknowledged;
pub(super) use crate::region::remote::unacknowledged::{is_small, send};

use crate::net::{Acknowledgements, Link, Message, Port};
use crate::rwlock::global::copy::NodeCopy;
use crate::rwlock::global::site::Asker;
use crate::rwlock::global::tree;
use crate::rwlock::global::tree::Node;
use crate::rwlock::global::version::Version;
use crate::shm::block::Block;
use crate::shm::copy::CopyBytes;
use crate::shm::mapping::Mapping;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Parts with fewer bytes share messages.
const SMALL: usize = 32 << 10;
/// The most bytes of such a message.
const BATCH: usize = 64 << 10;
/// The most bytes of a piece of a large part.
const PIECE: usize = 1 << 20;

/// The number of nodes to which each node forwards a change that does not fit into one message. The
/// time to send the change dominates: in a chain each node sends it once, and forwards a piece
/// while it receives the next. In a long chain, the first piece takes too long to the last node, so
/// each node sends twice.
fn fan_out(nodes: u32) -> u32 {
    const LONG: u32 = 8;
    if nodes <= LONG { 1 } else { 2 }
}

/// The copies of a region on other nodes.
pub(super) struct Replicas {
    port: Port,
    /// For this rank's last change.
    acknowledged: Arc<Acknowledgements>,
    /// This node's copy.
    copy: NodeCopy,
}

impl Replicas {
    /// Opens the port of a region's items. A leader begins to serve it; its node's copy is
    /// `memory`. The region is the object of this `block`.
    pub(super) fn open(link: &Link, block: &Block, memory: Option<&Arc<Mapping>>) -> Self {
        let port = link.port();
        let acknowledged = Arc::default();
        port.listen(&acknowledged);
        if let (Some(block), Some(memory)) = (link.leader(), memory) {
            let copy = NodeCopy::of(block);
            port.serve(Replica::new(port.clone(), copy, Arc::clone(memory)));
        }
        Replicas {
            port,
            acknowledged,
            copy: NodeCopy::of(block),
        }
    }

    /// Sends what [`send`] has held back.
    pub(super) fn send_held_back(&self) {
        self.port.send_held_back();
    }

    /// Ends the service of this node's copy, which no rank uses any more.
    pub(super) fn close(&self) {
        self.port.end_service();
    }
}

/// A message to the server of a node.
#[derive(Debug, Serialize, Deserialize)]
enum ReplicaMessage {
    /// A part of a change.
    Change(Box<Change>),
    /// The sending node and all nodes below it have the change of this number by `writer`.
    Changed { writer: u32, number: u32 },
    /// A change that nobody acknowledges.
    Unacknowledged(Box<Unacknowledged>),
    /// To the node of a dead writer: `node` lacks the version that it has made.
    Repeat { node: Node, version: Version },
}

impl Message for ReplicaMessage {
    fn size(&self) -> usize {
        match self {
            ReplicaMessage::Change(change) => change.size(),
            ReplicaMessage::Unacknowledged(message) => message.runs.size(),
            ReplicaMessage::Changed { .. } | ReplicaMessage::Repeat { .. } => 0,
        }
    }
}

/// A part of a change, from the node above in the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Change {
    /// The writer's rank.
    writer: u32,
    /// The number of the change, counted by the writer.
    number: u32,
    /// The writer's node.
    root: Node,
    /// The sender of this message, which waits for the acknowledgement.
    asker: Asker,
    /// The number of children in the tree.
    fan_out: u32,
    part: Part,
    is_last: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Part {
    /// Runs whose bytes are in the message.
    Small(Runs),
    /// The position of a piece, which is sent separately.
    Large { start: u64, length: u64 },
}

/// Runs of bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Runs {
    /// The start and length of each.
    places: Vec<(u64, u64)>,
    /// The bytes of all of them.
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl Runs {
    /// The bytes in these places.
    fn of(bytes: &CopyBytes, places: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut runs = Runs::default();
        (places.into_iter())
            .for_each(|place| runs.add(place, &mut |to, place| bytes.append_to(to, place)));
        runs
    }

    /// Adds the bytes in this place, which `append` appends.
    fn add(&mut self, place: Range<usize>, append: &mut impl FnMut(&mut Vec<u8>, Range<usize>)) {
        self.places.push((place.start as u64, place.len() as u64));
        append(&mut self.bytes, place);
    }

    /// Stores the bytes in their places.
    fn put(&self, bytes: &CopyBytes) {
        let mut rest = self.bytes.as_slice();
        for &(start, length) in &self.places {
            let (now, later) = rest.split_at(length as usize);
            bytes.put(start as usize, now);
            rest = later;
        }
    }

    /// The approximate size in a message in bytes.
    fn size(&self) -> usize {
        const PLACE: usize = 10;
        self.places.len() * PLACE + self.bytes.len()
    }
}

impl Change {
    /// The approximate size of the message in bytes.
    fn size(&self) -> usize {
        match &self.part {
            Part::Small(runs) => runs.size(),
            Part::Large { .. } => 0,
        }
    }

    fn children(&self, node: Node, nodes: u32) -> impl Iterator<Item = Node> + use<> {
        tree::children(node, self.root, nodes, self.fan_out)
    }
}

/// Cuts a change into parts.
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
        let mut runs = Runs::default();
        while let Some(range) =
            ranges.next_if(|range| range.len() < SMALL && runs.bytes.len() + range.len() <= BATCH)
        {
            runs.add(range, &mut append);
        }
        Some(Part::Small(runs))
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
                Part::Small(Runs { places, bytes }) => {
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
