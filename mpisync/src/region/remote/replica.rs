//! The copy of a node other than the writer's, which applies and forwards changes.
//!
//! Several ranks may send changes of disjoint parts at the same time. Each change is applied and
//! acknowledged by itself, so their messages may come in any order between each other.

use crate::net::{Acknowledged, Network, Piece, Port, Progress, Service, Tail};
use crate::region::remote::{Change, Part, ReplicaMessage, unacknowledged};
use crate::rwlock::global::copy::NodeCopy;
use crate::rwlock::global::site::Asker;
use crate::rwlock::global::tree::Node;
use crate::shm::copy::CopyBytes;
use crate::shm::mapping::Mapping;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A node's copy of one region, which receives the changes of other nodes' writers.
pub(super) struct Replica {
    port: Port,
    copy: NodeCopy,
    bytes: CopyBytes,
    /// At most one of each writer.
    incoming: Vec<Incoming>,
}

/// A change that has not arrived completely, here or below.
struct Incoming {
    writer: u32,
    number: u32,
    asker: Asker,
    /// The nodes below.
    children: Vec<Node>,
    /// Parts to be forwarded, in the order of their arrival.
    parts: VecDeque<Arrival>,
    /// Pieces in flight to nodes below.
    forwarded: Vec<Piece>,
    /// Whether all parts have arrived.
    has_all: bool,
    /// How many nodes below have the whole change.
    answers: usize,
}

/// A part that has arrived, or whose piece is in flight.
struct Arrival {
    /// The message to forward.
    change: Change,
    /// The piece of a large part, and its position.
    piece: Option<(Piece, Range<usize>)>,
}

impl Incoming {
    fn of(change: &Change, net: &Network) -> Self {
        Incoming {
            writer: change.writer,
            number: change.number,
            asker: change.asker,
            children: change.children(net.node(), net.nodes()).collect(),
            parts: VecDeque::new(),
            forwarded: Vec::new(),
            has_all: false,
            answers: 0,
        }
    }

    fn is(&self, change: &Change) -> bool {
        (self.writer, self.number) == (change.writer, change.number)
    }

    /// Forwards what has arrived. Returns whether all nodes below have the whole change; then the
    /// node above knows it.
    fn forward(&mut self, port: &Port, bytes: &CopyBytes) -> bool {
        while let Some(first) = self.parts.front_mut() {
            if let Some((piece, _)) = &mut first.piece
                && !piece.is_complete()
            {
                break;
            }
            let Some(Arrival { change, piece }) = self.parts.pop_front() else {
                break;
            };
            self.has_all |= change.is_last;
            for &node in &self.children {
                let message = ReplicaMessage::Change(Box::new(change.clone()));
                match &piece {
                    None => port.send(node, &message),
                    Some((_, place)) => {
                        let piece = port.send_piece(node, &message, bytes, place.clone());
                        self.forwarded.push(piece);
                    }
                }
            }
        }
        self.forwarded.retain_mut(|piece| !piece.is_complete());
        let is_done =
            self.has_all && self.forwarded.is_empty() && self.answers == self.children.len();
        if is_done {
            let Incoming { writer, number, .. } = *self;
            match self.asker {
                Asker::Writer(rank) => port.send_to_rank(rank, &Acknowledged { number }),
                Asker::Server(node) => port.send(node, &ReplicaMessage::Changed { writer, number }),
            }
        }
        is_done
    }
}

impl Replica {
    /// The node's `copy`, in `memory`.
    pub(super) fn new(port: Port, copy: NodeCopy, memory: Arc<Mapping>) -> Self {
        Replica {
            port,
            copy,
            // SAFETY: they are used only to apply changes, and to send those again that other nodes wait for.
            bytes: unsafe { CopyBytes::new(memory) },
            incoming: Vec::new(),
        }
    }

    /// Applies a part of a change as far as it has arrived; [`Self::go_on`] does the rest.
    fn receive_change(&mut self, change: Change) {
        if self.is_dead(change.writer) {
            return self.discard(&change);
        }
        let net = self.port.net();
        // If a change is incomplete when its writer begins another, the writer has given it up.
        self.incoming
            .retain(|incoming| incoming.writer != change.writer || incoming.is(&change));
        let known = self.incoming.iter().position(|known| known.is(&change));
        let index = known.unwrap_or_else(|| {
            self.incoming.push(Incoming::of(&change, net));
            self.incoming.len() - 1
        });
        let incoming = &mut self.incoming[index];
        let piece = match &change.part {
            Part::Small(runs) => {
                runs.put(&self.bytes);
                None
            }
            Part::Large { start, length } => {
                let place = *start as usize..(start + length) as usize;
                let from = rank_of(net, incoming.asker);
                let piece = self.port.receive_piece(from, &self.bytes, place.clone());
                Some((piece, place))
            }
        };
        let change = Change {
            asker: Asker::Server(net.node()),
            ..change
        };
        incoming.parts.push_back(Arrival { change, piece });
    }

    fn is_dead(&self, writer: u32) -> bool {
        !self.port.net().domain().rank_is_alive(writer as usize)
    }

    /// Discards a part of a change whose writer has died: another rank may have taken the lock over.
    fn discard(&self, change: &Change) {
        let from = rank_of(self.port.net(), change.asker);
        if let Part::Large { length, .. } = change.part
            && from != change.writer
        {
            // The node above has sent the piece, and goes on to send others.
            let length = length as usize;
            let memory = Arc::new(Mapping::private(length));
            // SAFETY: the memory is for this piece alone.
            let bytes = unsafe { CopyBytes::new(memory) };
            let _arriving = self.port.receive_piece(from, &bytes, 0..length);
        }
    }

    /// Discards changes whose writers have died.
    fn forget_dead_writers(&mut self) {
        let domain = self.port.net().domain();
        // If a host is lost, the rest of a change may not come.
        let is_lost = domain.segment().lost().is_some();
        self.incoming
            .retain(|incoming| !is_lost && domain.rank_is_alive(incoming.writer as usize));
    }

    /// A node below has the whole change of this number by `writer`.
    fn count_answer(&mut self, writer: u32, number: u32) {
        let mut incoming = self.incoming.iter_mut();
        let is_meant =
            |incoming: &&mut Incoming| (incoming.writer, incoming.number) == (writer, number);
        if let Some(incoming) = incoming.find(is_meant) {
            incoming.answers += 1;
        }
    }

    /// Forwards everything that has arrived. Returns whether something is left.
    fn forward(&mut self) -> bool {
        self.forget_dead_writers();
        let (port, bytes) = (&self.port, &self.bytes);
        self.incoming
            .retain_mut(|incoming| !incoming.forward(port, bytes));
        !self.incoming.is_empty()
    }
}

/// The rank that sends for `asker`: the writer or the leader of the node.
fn rank_of(net: &Network, asker: Asker) -> u32 {
    match asker {
        Asker::Writer(rank) => rank,
        Asker::Server(node) => net.topology().leader(node),
    }
}

impl Service for Replica {
    type Message = ReplicaMessage;

    fn receive(&mut self, _from: u32, message: ReplicaMessage, _: Tail<'_>) {
        match message {
            ReplicaMessage::Change(change) => self.receive_change(*change),
            ReplicaMessage::Changed { writer, number } => self.count_answer(writer, number),
            ReplicaMessage::Unacknowledged(message) => {
                message.receive(&self.port, &self.copy, &self.bytes);
            }
            ReplicaMessage::Repeat { node, version } => {
                unacknowledged::repeat(&self.port, &self.copy, &self.bytes, node, version);
            }
        }
    }

    fn go_on(&mut self) -> Progress {
        Progress::busy_if(self.forward())
    }

    fn inspect(&mut self) {
        self.forget_dead_writers();
        unacknowledged::ask_again(&self.port, &self.copy);
    }
}
