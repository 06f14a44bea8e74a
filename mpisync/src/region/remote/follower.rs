//! The server's part of a publication.

use crate::net::{Acknowledged, Network, Port, Progress, Service};
use crate::region::remote::{Change, Part, ReplicaMessage};
use crate::rsmpi::Piece;
use crate::rwlock::global::site::Asker;
use crate::rwlock::global::tree::Node;
use crate::shm::copy::CopyBytes;
use crate::shm::mapping::Mapping;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Takes over the changes of other nodes' writers, of one region.
pub(super) struct Follower {
    port: Port,
    bytes: CopyBytes,
    coming: Option<Coming>,
}

/// A change that is not here as a whole, or not below.
struct Coming {
    writer: u32,
    number: u32,
    asker: Asker,
    /// The nodes below.
    children: Vec<Node>,
    /// Parts that are to be passed on, in the order in which they came.
    parts: VecDeque<Arrival>,
    /// Pieces that are on their way to nodes below.
    passed_on: Vec<Piece>,
    /// Whether all parts have come.
    has_all: bool,
    /// How many nodes below have everything.
    answers: usize,
}

/// A part that has come, or whose piece is under way.
struct Arrival {
    /// As it is passed on.
    change: Change,
    /// Of a large part.
    piece: Option<(Piece, Range<usize>)>,
}

impl Coming {
    fn of(change: &Change, net: &Network) -> Self {
        Coming {
            writer: change.writer,
            number: change.number,
            asker: change.asker,
            children: change.children(net.node(), net.nodes()).collect(),
            parts: VecDeque::new(),
            passed_on: Vec::new(),
            has_all: false,
            answers: 0,
        }
    }

    fn is(&self, change: &Change) -> bool {
        (self.writer, self.number) == (change.writer, change.number)
    }
}

impl Follower {
    /// For the node's copy in `memory`.
    pub(super) fn new(port: Port, memory: Arc<Mapping>) -> Self {
        Follower {
            port,
            // SAFETY: all it does with them is to take over changes.
            bytes: unsafe { CopyBytes::new(memory) },
            coming: None,
        }
    }

    /// Takes over a part of a change, as far as it has come; [`Self::go_on`] does the rest.
    fn receive_change(&mut self, change: Change) {
        let net = self.port.net();
        // One that is not complete when another begins is that of a writer who died.
        self.coming.take_if(|coming| !coming.is(&change));
        let coming = self.coming.get_or_insert_with(|| Coming::of(&change, net));
        let piece = match &change.part {
            Part::Small { places, bytes } => {
                let mut rest = bytes.as_slice();
                for &(start, length) in places {
                    let (now, later) = rest.split_at(length as usize);
                    self.bytes.put(start as usize, now);
                    rest = later;
                }
                None
            }
            Part::Large { start, length } => {
                let place = *start as usize..(start + length) as usize;
                let from = rank_of(net, coming.asker);
                let piece = self.port.receive_piece(from, &self.bytes, place.clone());
                Some((piece, place))
            }
        };
        let change = Change {
            asker: Asker::Server(net.node()),
            ..change
        };
        coming.parts.push_back(Arrival { change, piece });
    }

    /// A node below has the change of this number.
    fn count_answer(&mut self, number: u32) {
        if let Some(coming) = &mut self.coming
            && coming.number == number
        {
            coming.answers += 1;
        }
    }

    /// Does what can be done now; whether something is left.
    fn pass_on(&mut self) -> bool {
        let port = &self.port;
        let Some(coming) = &mut self.coming else {
            return false;
        };
        while let Some(first) = coming.parts.front_mut() {
            if let Some((piece, _)) = &mut first.piece
                && !piece.is_complete()
            {
                break;
            }
            let Some(Arrival { change, piece }) = coming.parts.pop_front() else {
                break;
            };
            coming.has_all |= change.is_last;
            for &node in &coming.children {
                let message = ReplicaMessage::Change(Box::new(change.clone()));
                match &piece {
                    None => port.send(node, &message),
                    Some((_, place)) => {
                        let piece = port.send_piece(node, &message, &self.bytes, place.clone());
                        coming.passed_on.push(piece);
                    }
                }
            }
        }
        coming.passed_on.retain_mut(|piece| !piece.is_complete());
        let is_done = coming.has_all
            && coming.passed_on.is_empty()
            && coming.answers == coming.children.len();
        if is_done {
            let number = coming.number;
            match coming.asker {
                Asker::Writer(rank) => port.send_to_rank(rank, &Acknowledged { number }),
                Asker::Server(node) => port.send(node, &ReplicaMessage::Changed { number }),
            }
            self.coming = None;
        }
        !is_done
    }
}

/// The rank that sends for `asker`: the writer, or the leader of the node.
fn rank_of(net: &Network, asker: Asker) -> u32 {
    match asker {
        Asker::Writer(rank) => rank,
        Asker::Server(node) => net.topology().leader(node),
    }
}

impl Service for Follower {
    type Message = ReplicaMessage;

    fn receive(&mut self, _from: u32, message: ReplicaMessage) {
        match message {
            ReplicaMessage::Change(change) => self.receive_change(*change),
            ReplicaMessage::Changed { number } => self.count_answer(number),
        }
    }

    fn go_on(&mut self) -> Progress {
        Progress::busy_if(self.pass_on())
    }

    /// Forgets a change whose writer died; the lock is lost then.
    fn inspect(&mut self) {
        let domain = self.port.net().domain();
        let is_dead = |coming: &mut Coming| !domain.rank_is_alive(coming.writer as usize);
        self.coming.take_if(is_dead);
    }
}
