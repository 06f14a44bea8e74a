//! The writer's part of a replication.

use crate::net::Piece;
use crate::region::remote::{BATCH, Change, Part, ReplicaMessage, Replicas, parts};
use crate::rwlock::global::site::Asker;
use crate::rwlock::global::tree;
use crate::shm::absence::HostLoss;
use crate::shm::block::Block;
use crate::shm::copy::CopyBytes;
use crate::shm::wait::{wait_busily, wait_for_network};
use std::ops::Range;

/// The most pieces in flight.
const WINDOW: usize = 32;
/// The number of messages in flight from which on the writer waits for the network.
const MESSAGES: usize = 64;

/// Sends the bytes in these places to all other nodes and waits until they have them. The caller
/// holds the write lock, or a part with these bytes.
///
/// # Errors
/// If a host is lost. Then some nodes may have the bytes, and others not.
pub(in crate::region) fn publish(
    replicas: &Replicas,
    block: &Block,
    bytes: &CopyBytes,
    changed: &[Range<usize>],
) -> Result<(), HostLoss> {
    let Replicas {
        port, acknowledged, ..
    } = replicas;
    let net = port.net();
    let root = net.node();
    let asker = Asker::Writer(net.rank());
    let number = acknowledged.expect_next();
    let fits_one_message = changed.iter().map(Range::len).sum::<usize>() <= BATCH;
    let fan_out = if fits_one_message {
        tree::FAN_OUT
    } else {
        crate::region::remote::fan_out(net.nodes())
    };
    let children: Vec<_> = tree::children(root, root, net.nodes(), fan_out).collect();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut parts = parts(changed, |to, place| bytes.append_to(to, place)).peekable();
    while let Some(part) = parts.next() {
        let place = match &part {
            Part::Large { start, length } => Some(*start as usize..(start + length) as usize),
            Part::Small(_) => None,
        };
        let change = Change {
            writer: net.rank(),
            number,
            root,
            asker,
            fan_out,
            part,
            is_last: parts.peek().is_none(),
        };
        for &node in &children {
            let message = ReplicaMessage::Change(Box::new(change.clone()));
            match &place {
                None => port.send(node, &message),
                Some(place) => {
                    let piece = port.send_piece(node, &message, bytes, place.clone());
                    pieces.push(piece);
                }
            }
        }
        if pieces.len() >= WINDOW {
            await_pieces(block, &mut pieces, WINDOW / 2)?;
        }
        if place.is_none() {
            wait_for_network(block, "the network", || {
                (net.unsent() < MESSAGES).then_some(())
            })?;
        }
    }
    await_pieces(block, &mut pieces, 0)?;
    let answers = children.len() as u32;
    wait_for_network(block, "publish", || {
        (acknowledged.count(number) == answers).then_some(())
    })
}

/// Waits until at most `most` pieces are in flight.
fn await_pieces(block: &Block, pieces: &mut Vec<Piece>, most: usize) -> Result<(), HostLoss> {
    wait_busily(block, "publish", || {
        pieces.retain_mut(|piece| !piece.is_complete());
        pieces.len() <= most
    })
}
