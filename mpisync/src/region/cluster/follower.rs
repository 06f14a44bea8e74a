//! The agent's part of a publication.

use super::{Change, Part};
use crate::cluster::{Hub, Word};
use crate::lock::cluster::site::Asker;
use crate::lock::cluster::tree::Node;
use crate::memory::copy::CopyBytes;
use crate::memory::mapping::Mapping;
use crate::memory::mpi::Piece;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Takes over the changes of other nodes' writers, of one region.
pub(crate) struct Follower {
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
    fn of(change: &Change, hub: &Hub) -> Self {
        Coming {
            writer: change.writer,
            number: change.number,
            asker: change.asker,
            children: change.children(hub.node(), hub.nodes()).collect(),
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
    pub(crate) fn new(memory: Arc<Mapping>) -> Self {
        Follower {
            // SAFETY: all it does with them is to take over changes.
            bytes: unsafe { CopyBytes::new(memory) },
            coming: None,
        }
    }

    /// Takes over a part of a change, as far as it has come; [`Self::go_on`] does the rest.
    pub(crate) fn receive(&mut self, hub: &Hub, change: Change) {
        // One that is not complete when another begins is that of a writer who died.
        self.coming.take_if(|coming| !coming.is(&change));
        let coming = self.coming.get_or_insert_with(|| Coming::of(&change, hub));
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
                let from = hub.rank_of(coming.asker);
                let piece = hub.receive_piece(from, &self.bytes, place.clone());
                Some((piece, place))
            }
        };
        let change = Change {
            asker: Asker::Agent(hub.node()),
            ..change
        };
        coming.parts.push_back(Arrival { change, piece });
    }

    /// A node below has the change of this number.
    pub(crate) fn count_answer(&mut self, number: u32) {
        if let Some(coming) = &mut self.coming
            && coming.number == number
        {
            coming.answers += 1;
        }
    }

    /// Does what can be done now; whether something is left.
    pub(crate) fn go_on(&mut self, hub: &Hub, region: u64) -> bool {
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
                let word = Word::Change(Box::new(change.clone()));
                match &piece {
                    None => hub.tell(node, region, word),
                    Some((_, place)) => {
                        let piece = hub.send_piece(node, region, word, &self.bytes, place.clone());
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
            let (asker, number) = (coming.asker, coming.number);
            let word = Word::Changed { number, asker };
            hub.tell_rank(hub.rank_of(asker), region, word);
            self.coming = None;
        }
        !is_done
    }

    /// Forgets a change whose writer died; the lock is lost then.
    pub(crate) fn forget_dead_writer(&mut self, hub: &Hub) {
        self.coming.take_if(|coming| !hub.is_alive(coming.writer));
    }
}
