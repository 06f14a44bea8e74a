//! The part of a call that goes to other nodes, where a controller has any.

#[cfg(not(feature = "mpi"))]
pub(crate) use on_one_node::Far;
use serde::{Deserialize, Serialize};

/// What came of a call, for the mailboxes of other nodes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Value {
    pub(crate) call: u64,
    pub(crate) writer: u32,
    pub(crate) outcome: u32,
    pub(crate) kind: u64,
    pub(crate) layout: u64,
    pub(crate) label: String,
    pub(crate) length: u64,
    pub(crate) site: u64,
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) reason: String,
    /// A small value; a large one follows in pieces.
    pub(crate) data: Vec<u8>,
}

#[cfg(feature = "mpi")]
pub(crate) use over_nodes::Far;

#[cfg(feature = "mpi")]
mod over_nodes {
    use super::super::mirror;
    use super::super::post::Call;
    use super::Value;
    use crate::cluster::{Reason, Word};
    use crate::error::FenceError;
    use crate::lock::cluster::tier::Tier;
    use crate::memory::block::Block;
    use crate::memory::stream::Sink;
    use crate::memory::words::mail::Record;
    use crate::wait::wait_for_network;
    use std::sync::atomic::Ordering;

    /// How many messages may be under way before a writer of a large value waits for the network.
    const WINDOW: usize = 64;

    /// The way to the other nodes; none on one node.
    #[derive(Clone, Copy)]
    pub(crate) struct Far<'a>(pub(crate) Option<&'a Tier>);

    impl Far<'_> {
        /// Waits until the other nodes have taken over what this rank shared last in the record of `call`: in that call or, if
        /// others have written since, in one before it.
        ///
        /// Until then a rank of another node may wait for that value, and ask what this rank did.
        pub(crate) fn wait_until_accepted(self, block: &Block, call: Call) {
            let Some(tier) = self.0 else { return };
            let others = tier.hub.nodes() - 1;
            wait_for_network(block, || {
                tier.desk.is_accepted(call, others) || block.domain().has_lost_ranks()
            });
        }

        /// Makes this rank the writer of `call`; the error is the rank that is it already.
        pub(crate) fn claim(self, block: &Block, call: Call) -> Result<(), usize> {
            match self.0 {
                Some(tier) => tier
                    .claim(block.station(), call.0, tier.hub.rank())
                    .map_err(|writer| writer as usize),
                None => Ok(()),
            }
        }

        /// Waits until nobody fills `record`, and begins to fill it.
        pub(crate) fn begin_filling(self, block: &Block, record: &Record) {
            if self.0.is_some() {
                wait_for_network(block, || {
                    record.try_to_fill() || block.domain().has_lost_ranks()
                });
            }
        }

        /// Sends what came of `call` to the other nodes.
        pub(crate) fn publish(self, call: Call, value: impl Fn() -> Value) {
            let Some(tier) = self.0 else { return };
            tier.desk.expect_acceptance(call.0);
            for node in tier.hub.topology().other_nodes() {
                tier.hub
                    .tell(node, tier.number, Word::Value(Box::new(value())));
            }
        }

        /// Sends the next bytes of a large value.
        pub(crate) fn send_piece(self, block: &Block, call: Call, bytes: &[u8]) {
            let Some(tier) = self.0 else { return };
            for node in tier.hub.topology().other_nodes() {
                let piece = Word::Piece {
                    call: call.0,
                    writer: tier.hub.rank(),
                    bytes: bytes.to_vec(),
                };
                tier.hub.tell(node, tier.number, piece);
            }
            wait_for_network(block, || block.domain().unsent() < WINDOW);
        }

        /// Takes a large value that came from another node.
        pub(crate) fn read_object(
            self,
            name: u64,
            length: u64,
            sink: &mut impl Sink,
        ) -> Result<(), FenceError> {
            mirror::read_object(name, length, |bytes| sink.put(bytes))
                .map_err(|error| FenceError::Decode(format!("its memory cannot be had: {error}")))
        }

        /// Asks why `rank`, on another node, shares nothing in `call`; the answer, once it has come.
        pub(crate) fn ask(self, block: &Block, call: Call, rank: usize) -> Option<Reason> {
            let tier = self.0?;
            let answer = tier.desk.answer(call.0);
            if answer.is_none() && tier.desk.may_ask() {
                let node = tier.hub.topology().node_of(rank as u32);
                let my_board = block.domain().my_board();
                let ask = Word::Ask {
                    call: call.0,
                    rank: rank as u32,
                    asker: tier.hub.rank(),
                    meetings: my_board.posted.load(Ordering::Relaxed),
                };
                tier.hub.tell(node, tier.number, ask);
            }
            answer
        }
    }
}

#[cfg(not(feature = "mpi"))]
mod on_one_node {
    use super::super::post::Call;
    use super::Value;
    use crate::error::FenceError;
    use crate::memory::block::Block;
    use crate::memory::stream::Sink;
    use crate::memory::words::mail::Record;
    use std::marker::PhantomData;

    /// There are no other nodes without MPI.
    #[derive(Clone, Copy)]
    pub(crate) struct Far<'a>(pub(crate) PhantomData<&'a ()>);

    impl Far<'_> {
        pub(crate) fn wait_until_accepted(self, _block: &Block, _call: Call) {}

        pub(crate) fn begin_filling(self, _block: &Block, _record: &Record) {}

        pub(crate) fn claim(self, _block: &Block, _call: Call) -> Result<(), usize> {
            Ok(())
        }

        pub(crate) fn publish(self, _call: Call, _value: impl Fn() -> Value) {}

        pub(crate) fn send_piece(self, _block: &Block, _call: Call, _bytes: &[u8]) {}

        pub(crate) fn read_object(
            self,
            _name: u64,
            _length: u64,
            _sink: &mut impl Sink,
        ) -> Result<(), FenceError> {
            unreachable!("a value of another node")
        }
    }
}
