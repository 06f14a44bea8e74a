//! A communicator of some of the ranks, for the user.

use crate::error::CreateError;
use crate::rsmpi::comm::{OwnComm, check};
use crate::rsmpi::context::Context;
use crate::shm::wait::Surroundings;
use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::FromRaw;
use std::mem::{ManuallyDrop, MaybeUninit};

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
        let own = context.all().split(color)?;
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
    let mine = if has_found { all.rank() } else { i32::MAX };
    // The value sent and the value received. On the heap, where they stay if MPI fails.
    let values = Box::into_raw(Box::new([mine, mine]));
    let mut request = MaybeUninit::uninit();
    // SAFETY: one `int` each way, in memory that stays until the request is complete.
    let code = unsafe {
        ffi::MPI_Iallreduce(
            (&raw const (*values)[0]).cast(),
            (&raw mut (*values)[1]).cast(),
            1,
            ffi::RSMPI_INT32_T,
            ffi::RSMPI_MIN,
            all.raw(),
            request.as_mut_ptr(),
        )
    };
    check("MPI_Iallreduce", code)?;
    // SAFETY: MPI has set it, for the call has succeeded.
    let mut request: ffi::MPI_Request = unsafe { request.assume_init() };
    let mut done = 0;
    while done == 0 {
        // SAFETY: a request that MPI gave and that is not complete yet.
        let code = unsafe { ffi::MPI_Test(&mut request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
        check("MPI_Test", code)?;
        context.domain().progress();
        std::thread::yield_now();
    }
    // SAFETY: it comes from a box, and MPI is through with it.
    let [_, lowest] = *unsafe { Box::from_raw(values) };
    Ok((lowest < i32::MAX).then_some(lowest))
}
