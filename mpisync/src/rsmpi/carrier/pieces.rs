//! Pieces of memory that are sent from one process to another without a copy on either side.

use crate::error::CreateError;
use crate::rsmpi::carrier::pending::{PATIENCE, Pending};
use crate::rsmpi::carrier::{Carrier, OwnComm, Unsent};
use crate::shm::buffer::Buffer;
use crate::shm::copy::CopyBytes;
use crate::shm::lock;
use crate::shm::mapping::Mapping;
use mpi::ffi;
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// The tag of all pieces. The pieces from one process to another arrive in the order in which they
/// were sent.
const TAG: c_int = 78;

/// A piece in flight.
pub(crate) struct Piece {
    rank: u32,
    state: State,
}

enum State {
    Sending(Pending<Arc<Mapping>>),
    Receiving(Pending<Arc<Mapping>>),
    /// It has arrived, or has been sent as far as possible.
    Complete,
    /// It could not be received: the sender has died, as far as is known.
    Failed(CreateError, Instant),
}

impl Piece {
    fn send(
        comm: &OwnComm,
        rank: u32,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> Result<Self, CreateError> {
        let (start, count) = range(bytes, &place);
        let sending = Pending::begin("MPI_Isend", Arc::clone(bytes.memory()), |_, request| {
            let (kind, to, comm) = (byte(), rank as c_int, comm.raw());
            // SAFETY: the bytes are kept with the request until it is complete.
            unsafe { ffi::MPI_Isend(start, count, kind, to, TAG, comm, request) }
        })?;
        Ok(Piece {
            rank,
            state: State::Sending(sending),
        })
    }

    /// Begins to receive a piece from `rank`.
    pub(crate) fn receive(
        comm: &OwnComm,
        rank: u32,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> Self {
        let (start, count) = range(bytes, &place);
        let receiving = Pending::begin("MPI_Irecv", Arc::clone(bytes.memory()), |_, request| {
            let (kind, from, comm) = (byte(), rank as c_int, comm.raw());
            // SAFETY: the memory is kept with the request until it is complete, and the owner of
            // `bytes` has exclusive access.
            unsafe { ffi::MPI_Irecv(start, count, kind, from, TAG, comm, request) }
        });
        let state = match receiving {
            Ok(receiving) => State::Receiving(receiving),
            Err(error) => State::Failed(error, Instant::now()),
        };
        Piece { rank, state }
    }

    /// A piece that this rank need not wait for, because the receiver has died.
    pub(crate) fn to_the_dead(rank: u32) -> Self {
        Piece {
            rank,
            state: State::Complete,
        }
    }

    /// Whether it is complete.
    ///
    /// # Panics
    /// If MPI cannot receive it and its sender has not been found dead within 10 seconds.
    pub(crate) fn is_complete(&mut self) -> bool {
        let is_complete = match &mut self.state {
            State::Complete => return true,
            State::Sending(pending) => Ok(pending.is_sent()),
            State::Receiving(pending) => pending.is_complete(),
            State::Failed(error, since) => {
                assert!(
                    since.elapsed() < PATIENCE,
                    "a piece of a region does not come from rank {}: {error}",
                    self.rank
                );
                return false;
            }
        };
        match is_complete {
            Ok(false) => false,
            Ok(true) => {
                self.state = State::Complete;
                true
            }
            Err(error) => {
                self.leave_at(State::Failed(error, Instant::now()));
                false
            }
        }
    }

    /// Changes the state while MPI may still use the memory, which is leaked.
    fn leave_at(&mut self, state: State) {
        std::mem::forget(std::mem::replace(&mut self.state, state));
    }
}

/// The address and length of a range of bytes.
fn range(bytes: &CopyBytes, place: &Range<usize>) -> (*mut c_void, c_int) {
    let count = c_int::try_from(place.len()).expect("a piece of less than 2 GiB");
    (bytes.at(place).as_ptr().cast(), count)
}

fn byte() -> ffi::MPI_Datatype {
    // SAFETY: a constant of MPI.
    unsafe { ffi::RSMPI_UINT8_T }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // It may be a piece that never arrives because its sender died: MPI may still write to the
        // memory.
        self.leave_at(State::Complete);
    }
}

impl Carrier {
    /// Sends a message and then its piece.
    pub(crate) fn send_piece(
        &self,
        comm: &OwnComm,
        rank: u32,
        message: Buffer,
        bytes: &CopyBytes,
        place: Range<usize>,
        give_up: &dyn Fn() -> bool,
    ) -> Result<Piece, Unsent> {
        let _paired = lock(&self.pairing);
        self.send(comm, rank, message, give_up)?;
        let sending = Piece::send(comm, rank, bytes, place);
        sending.map_err(|error| Unsent { rank, error })
    }
}
