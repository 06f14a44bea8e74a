//! What MPI has not taken over yet.

use mpi::ffi;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::time::Duration;

/// How long a sender waits for a receiver, before it takes it for dead.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A request that is under way, and what MPI reads until it is complete. Not dropped before that, but with the process.
pub(super) struct Pending<T> {
    request: ffi::MPI_Request,
    _data: Vec<T>,
}

// SAFETY: a request is a handle, and with MPI_THREAD_MULTIPLE, which the maker of a carrier has checked, any thread
// may complete it; the mutex around them lets one thread at a time do so.
unsafe impl<T: Send> Send for Pending<T> {}

impl<T> Pending<T> {
    /// Of a request that reads from `data`, which does not move on the heap.
    pub(super) fn new(request: ffi::MPI_Request, data: Vec<T>) -> Self {
        let _data = data;
        Pending { request, _data }
    }

    /// Whether MPI has done with it; not asked again after it has.
    pub(super) fn is_complete(&mut self) -> bool {
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
