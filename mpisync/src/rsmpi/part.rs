//! A communicator of some of the ranks, for the user.

use crate::error::CreateError;
use crate::rsmpi::comm::{OwnComm, check};
use crate::rsmpi::context::Context;
use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::FromRaw;
use std::mem::ManuallyDrop;

/// A communicator that the user may use while this exists. Dropping it is local: the next
/// collective creation of this process frees it.
pub(crate) struct PartComm {
    /// Not dropped, for that would be collective.
    comm: ManuallyDrop<SimpleCommunicator>,
    /// Keeps it.
    _own: OwnComm,
}

impl PartComm {
    /// One for each color, of the ranks of the communicator of `context` that pass it. Collective.
    pub(crate) fn split(context: &Context, color: i32) -> Result<Self, CreateError> {
        Self::new(context.all().split(color)?)
    }

    /// One of this rank alone. Local.
    pub(crate) fn alone(context: &Context) -> Result<Self, CreateError> {
        Self::new(context.all().alone()?)
    }

    fn new(own: OwnComm) -> Result<Self, CreateError> {
        // SAFETY: a communicator of this process; the handler is MPI's own.
        let code = unsafe { ffi::MPI_Comm_set_errhandler(own.raw(), ffi::RSMPI_ERRORS_ARE_FATAL) };
        check("MPI_Comm_set_errhandler", code)?;
        // SAFETY: a valid communicator without a topology, which is not freed before `self` is
        // dropped, nor by `comm`.
        let comm = unsafe { SimpleCommunicator::from_raw(own.raw()) };
        Ok(PartComm {
            comm: ManuallyDrop::new(comm),
            _own: own,
        })
    }

    pub(crate) fn comm(&self) -> &SimpleCommunicator {
        &self.comm
    }
}

/// The lowest rank of the communicator of `context` with `has_found`. Collective. Handles messages
/// of other nodes while it waits: a rank may still wait for a message before it joins the call.
pub(crate) fn lowest_rank(context: &Context, has_found: bool) -> Result<Option<i32>, CreateError> {
    let all = context.all();
    let lowest = all.minimum(if has_found { all.rank() } else { i32::MAX })?;
    Ok((lowest < i32::MAX).then_some(lowest))
}
