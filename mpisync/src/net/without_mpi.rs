//! The network without MPI: there is none. The type has no values, so its users compile to nothing.

use crate::net::envelope::Address;
use crate::net::service::{ErasedClient, ErasedService};
use crate::shm::block::Block;
use crate::shm::buffer::Buffer;
use crate::shm::copy::CopyBytes;
use crate::shm::domain::Domain;
use crate::shm::topology::Topology;
use std::ops::Range;
use std::sync::Arc;

/// A type without values.
pub(crate) enum Network {}

/// A type without values, which only this module knows.
pub(crate) struct Piece(Network);

#[inline]
pub(crate) fn mpi_has_ended() -> bool {
    false
}

/// The thread level of MPI, which several threads do not need.
pub(crate) fn level_below_multiple() -> Option<String> {
    None
}

impl Piece {
    pub(crate) fn is_complete(&mut self) -> bool {
        match self.0 {}
    }
}

impl Network {
    pub(crate) fn domain(&self) -> &Arc<Domain> {
        match *self {}
    }

    pub(crate) fn topology(&self) -> &Topology {
        match *self {}
    }

    pub(crate) fn unsent(&self) -> usize {
        match *self {}
    }

    pub(super) fn send(&self, _rank: u32, _bytes: impl Into<Buffer>) {
        match *self {}
    }

    pub(super) fn send_with_next(&self, _rank: u32, _bytes: Vec<u8>) {
        match *self {}
    }

    pub(super) fn send_held_back(&self) {
        match *self {}
    }

    pub(super) fn listen(&self, _address: Address, _client: Arc<dyn ErasedClient>) {
        match *self {}
    }

    pub(super) fn leave(&self, _object: u64) {
        match *self {}
    }

    pub(super) fn keep(&self, _object: u64, _home: u32, _block: Arc<Block>) {
        match *self {}
    }

    pub(super) fn serve(&self, _address: Address, _service: Box<dyn ErasedService>) {
        match *self {}
    }

    pub(super) fn end_service(&self, _address: Address) {
        match *self {}
    }

    pub(super) fn send_piece(
        &self,
        _rank: u32,
        _message: Vec<u8>,
        _bytes: &CopyBytes,
        _place: Range<usize>,
    ) -> Piece {
        match *self {}
    }

    pub(super) fn receive_piece(
        &self,
        _rank: u32,
        _bytes: &CopyBytes,
        _place: Range<usize>,
    ) -> Piece {
        match *self {}
    }
}
