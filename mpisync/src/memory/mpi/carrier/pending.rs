//! What MPI has not taken over yet.

use mpi::ffi;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::time::Duration;

/// How long a sender waits for a receiver, before it takes it for dead.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A request that is under way, and the memory that MPI reads or writes until it is complete. Not dropped before that, but
/// with the process.
pub(crate) struct Pending<D> {
    request: ffi::MPI_Request,
    _data: D,
}

// SAFETY: a request is a handle, and with MPI_THREAD_MULTIPLE, which the maker of a carrier has checked, any thread
// may complete it; the mutex around them lets one thread at a time do so.
unsafe impl<D: Send> Send for Pending<D> {}

impl<D> Pending<D> {
    /// Of a request for what `data` keeps, which does not move with it.
    pub(super) fn new(request: ffi::MPI_Request, data: D) -> Self {
        Pending {
            request,
            _data: data,
        }
    }

    /// Whether MPI has done with it; not asked again after it has.
    pub(crate) fn is_complete(&mut self) -> bool {
        let mut done: c_int = 0;
        // SAFETY: the request is live, for it was not complete before.
        unsafe { ffi::MPI_Test(&mut self.request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
        done != 0
    }

    /// Waits until MPI has done with it.
    pub(super) fn wait(mut self) {
        // SAFETY: as above.
        unsafe { ffi::MPI_Wait(&mut self.request, ffi::RSMPI_STATUS_IGNORE) };
    }

    /// Forgets those that MPI has done with, up to the first that it has not.
    pub(super) fn forget_complete(queue: &mut VecDeque<Self>) {
        while let Some(first) = queue.front_mut() {
            if !first.is_complete() {
                return;
            }
            queue.pop_front();
        }
    }
}
