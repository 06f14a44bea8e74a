//! A communicator of some of the ranks, for the user.

use super::comm::{OwnComm, check};
use crate::error::CreateError;
use crate::memory::block::Block;
use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::FromRaw;
use std::mem::ManuallyDrop;

/// A communicator that the user may use as long as this lives. Dropping it is local: it is freed when this process makes
/// something together with others the next time.
pub(crate) struct PartComm {
    /// Not dropped, for that would be collective.
    comm: ManuallyDrop<SimpleCommunicator>,
    own: Option<OwnComm>,
}

impl PartComm {
    /// One for each color, of the ranks of the communicator of `block` that name it; collective.
    pub(crate) fn split(block: &Block, color: i32) -> Result<Self, CreateError> {
        let comms = block.domain().comms.as_ref();
        let all = &comms.expect("a domain on a communicator").all;
        let own = all.split(color)?;
        // SAFETY: a communicator of this process; the handler is MPI's own.
        let code = unsafe { ffi::MPI_Comm_set_errhandler(own.raw(), ffi::RSMPI_ERRORS_ARE_FATAL) };
        check("MPI_Comm_set_errhandler", code)?;
        // SAFETY: a valid communicator without a topology, which is not freed before `self` is dropped, nor by `comm`.
        let comm = unsafe { SimpleCommunicator::from_raw(own.raw()) };
        Ok(PartComm {
            comm: ManuallyDrop::new(comm),
            own: Some(own),
        })
    }

    pub(crate) fn comm(&self) -> &SimpleCommunicator {
        &self.comm
    }
}

impl Drop for PartComm {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            own.retire();
        }
    }
}
