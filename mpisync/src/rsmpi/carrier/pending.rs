//! Requests of MPI that are not complete.

use crate::error::CreateError;
use crate::rsmpi::comm::{begin_request, check, test};
use mpi::ffi;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::time::Duration;

/// How long a sender waits for a receiver before it considers the receiver dead.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A pending request, and the memory that MPI reads or writes until it is complete. Not to be
/// dropped before that.
pub(crate) struct Pending<D> {
    request: ffi::MPI_Request,
    data: D,
}

// SAFETY: a request is a handle, and with MPI_THREAD_MULTIPLE, which the maker of a carrier has
// checked, any thread may complete it; the mutex around them lets one thread at a time do so.
unsafe impl<D: Send> Send for Pending<D> {}

impl<D> Pending<D> {
    /// Begins a request on memory that `data` owns and that does not move with `data`. `begin`
    /// calls the MPI `function`.
    pub(super) fn begin(
        function: &'static str,
        data: D,
        begin: impl FnOnce(&D, *mut ffi::MPI_Request) -> c_int,
    ) -> Result<Self, CreateError> {
        let request = begin_request(function, |request| begin(&data, request))?;
        Ok(Pending { request, data })
    }

    /// Whether it is complete. Must not be called again after it is, nor after an error.
    pub(super) fn is_complete(&mut self) -> Result<bool, CreateError> {
        test(&mut self.request)
    }

    /// Whether a send is complete or has failed: the rank that waits for the message detects that
    /// this rank, or the receiver, has died.
    pub(super) fn is_sent(&mut self) -> bool {
        self.is_complete().unwrap_or(true)
    }

    /// Waits until it is complete.
    pub(super) fn wait(mut self) {
        // SAFETY: a request of MPI.
        let code = unsafe { ffi::MPI_Wait(&mut self.request, ffi::RSMPI_STATUS_IGNORE) };
        if check("MPI_Wait", code).is_err() {
            // MPI may still use the memory.
            std::mem::forget(self.data);
        }
    }

    /// Removes completed sends from the front of the queue.
    pub(super) fn forget_sent(queue: &mut VecDeque<Self>) {
        while let Some(first) = queue.front_mut() {
            if !first.is_sent() {
                return;
            }
            queue.pop_front();
        }
    }
}
