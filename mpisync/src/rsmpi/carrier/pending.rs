//! Requests of MPI that are not complete.

use crate::error::CreateError;
use crate::rsmpi::comm::{begin_request, check, test};
use mpi::ffi;
use std::collections::{BTreeMap, VecDeque};
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
        mut data: D,
        begin: impl FnOnce(&mut D, *mut ffi::MPI_Request) -> c_int,
    ) -> Result<Self, CreateError> {
        let request = begin_request(function, |request| begin(&mut data, request))?;
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

    /// The memory of a complete request.
    pub(super) fn into_data(self) -> D {
        self.data
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
}

/// Sends that are not complete, by receiver. Those to a rank that has died may never be, and hold up
/// none to others.
pub(super) struct Sends<D>(BTreeMap<u32, VecDeque<Pending<D>>>);

impl<D> Default for Sends<D> {
    fn default() -> Self {
        Sends(BTreeMap::new())
    }
}

impl<D> Sends<D> {
    pub(super) fn add(&mut self, receiver: u32, send: Pending<D>) {
        self.0.entry(receiver).or_default().push_back(send);
    }

    /// Removes those that are complete, except behind one to the same receiver that is not.
    pub(super) fn forget_sent(&mut self) {
        self.0.retain(|_, sends| {
            while sends.front_mut().is_some_and(Pending::is_sent) {
                sends.pop_front();
            }
            !sends.is_empty()
        });
    }

    /// Waits until all are complete.
    pub(super) fn wait(&mut self) {
        let all = std::mem::take(&mut self.0);
        all.into_values().flatten().for_each(Pending::wait);
    }

    /// The number of those to receivers that count.
    pub(super) fn count(&self, counts: impl Fn(u32) -> bool) -> usize {
        let counted = self.0.iter().filter(|&(&receiver, _)| counts(receiver));
        counted.map(|(_, sends)| sends.len()).sum()
    }
}
