//! Pieces of memory that go from one process to another as they lie there, without a copy on either side.

use super::Carrier;
use super::OwnComm;
use super::pending::Pending;
use crate::memory::copy::CopyBytes;
use crate::memory::lock;
use crate::memory::mapping::Mapping;
use mpi::ffi;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

/// All pieces have this tag. Those from one process to another arrive in the order in which they were sent.
const TAG: c_int = 78;

/// A piece on its way.
pub(crate) struct Piece {
    /// None once it is there.
    request: Option<Pending<Arc<Mapping>>>,
}

impl Piece {
    fn send(comm: &OwnComm, rank: u32, bytes: &CopyBytes, place: Range<usize>) -> Self {
        Self::begin(bytes, &place, |start, count, request| {
            // SAFETY: the bytes are kept with the request until it is complete.
            unsafe {
                let (kind, rank) = (ffi::RSMPI_UINT8_T, rank as c_int);
                ffi::MPI_Isend(start, count, kind, rank, TAG, comm.raw(), request);
            }
        })
    }

    /// Begins to receive one from `rank`.
    pub(crate) fn receive(
        comm: &OwnComm,
        rank: u32,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> Self {
        Self::begin(bytes, &place, |start, count, request| {
            // SAFETY: the room is kept with the request until it is complete, and who has `bytes` is alone with it.
            unsafe {
                let (kind, rank) = (ffi::RSMPI_UINT8_T, rank as c_int);
                ffi::MPI_Irecv(start, count, kind, rank, TAG, comm.raw(), request);
            }
        })
    }

    fn begin(
        bytes: &CopyBytes,
        place: &Range<usize>,
        start: impl FnOnce(*mut c_void, c_int, *mut ffi::MPI_Request),
    ) -> Self {
        let count = c_int::try_from(place.len()).expect("a piece of less than 2 GiB");
        let mut request = MaybeUninit::uninit();
        start(bytes.at(place).as_ptr().cast(), count, request.as_mut_ptr());
        // SAFETY: MPI has set it.
        let request = unsafe { request.assume_init() };
        Piece {
            request: Some(Pending::new(request, Arc::clone(bytes.memory()))),
        }
    }

    /// Whether it is there.
    pub(crate) fn is_complete(&mut self) -> bool {
        self.request.take_if(Pending::is_complete);
        self.request.is_none()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // One that never comes, because its sender died: MPI may still write to the memory.
        std::mem::forget(self.request.take());
    }
}

impl Carrier {
    /// Sends a message, and then a piece that belongs to it.
    pub(crate) fn send_piece(
        &self,
        comm: &OwnComm,
        rank: u32,
        message: Vec<u8>,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> Piece {
        let _paired = lock(&self.pairing);
        self.send(comm, rank, message);
        Piece::send(comm, rank, bytes, place)
    }
}
