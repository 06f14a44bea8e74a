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
    number: u32,
    asker: Asker,
    /// The nodes below.
    children: Vec<Node>,
    /// Pieces that have not come yet, in the order in which they will.
    pieces: VecDeque<Awaited>,
    /// Those that are on their way to nodes below.
    passed_on: Vec<Piece>,
    /// Whether all parts have been announced.
    all_known: bool,
    /// How many nodes below have everything.
    answers: usize,
}

/// A piece that comes to this node.
struct Awaited {
    piece: Piece,
    place: Range<usize>,
    /// The word that goes with it to nodes below.
    change: Change,
}

impl Follower {
    /// For the node's copy in `memory`.
    pub(crate) fn new(memory: Arc<Mapping>) -> Self {
        Follower {
            // SAFETY: here they are used for nothing else.
            bytes: unsafe { CopyBytes::for_agent(memory) },
            coming: None,
        }
    }

    /// Takes over a part of a change, as far as it has come, and passes it on; [`Self::go_on`] does the rest.
    pub(crate) fn receive(&mut self, hub: &Hub, region: u64, change: Change) {
        let coming = self.coming.get_or_insert_with(|| Coming {
            number: change.number,
            asker: change.asker,
            children: change.children(hub.node(), hub.nodes()).collect(),
            pieces: VecDeque::new(),
            passed_on: Vec::new(),
            all_known: false,
            answers: 0,
        });
        coming.all_known |= change.is_last;
        let below = Change {
            asker: Asker::Agent(hub.node()),
            ..change
        };
        match &below.part {
            Part::Small { places, bytes } => {
                let mut rest = bytes.as_slice();
                for &(start, length) in places {
                    let (now, later) = rest.split_at(length as usize);
                    self.bytes.put(start as usize, now);
                    rest = later;
                }
                for &node in &coming.children {
                    hub.tell(node, region, Word::Change(Box::new(below.clone())));
                }
            }
            Part::Large { start, length } => {
                let place = *start as usize..(start + length) as usize;
                let from = hub.rank_of(coming.asker);
                let piece = hub.receive_piece(from, &self.bytes, place.clone());
                coming.pieces.push_back(Awaited {
                    piece,
                    place,
                    change: below,
                });
            }
        }
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
        while let Some(first) = coming.pieces.front_mut() {
            if !first.piece.is_complete() {
                break;
            }
            let Some(come) = coming.pieces.pop_front() else {
                break;
            };
            for &node in &coming.children {
                let word = Word::Change(Box::new(come.change.clone()));
                let piece = hub.send_piece(node, region, word, &self.bytes, come.place.clone());
                coming.passed_on.push(piece);
            }
        }
        coming.passed_on.retain_mut(|piece| !piece.is_complete());
        let is_done = coming.all_known
            && coming.pieces.is_empty()
            && coming.passed_on.is_empty()
            && coming.answers == coming.children.len();
        if is_done {
            let (asker, number) = (coming.asker, coming.number);
            hub.tell_rank(hub.rank_of(asker), region, Word::Changed { number, asker });
            self.coming = None;
        }
        !is_done
    }

    /// Forgets a change whose sender died; the lock is lost then.
    pub(crate) fn forget_dead_writer(&mut self, hub: &Hub) {
        self.coming
            .take_if(|coming| !hub.is_alive(hub.rank_of(coming.asker)));
    }
}
