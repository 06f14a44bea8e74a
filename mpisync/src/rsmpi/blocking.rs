//! Calls of MPI that block until other ranks have come, and have no nonblocking form.

use mpi::Threading;
use mpi::environment::threading_support;
use std::thread::{self, JoinHandle};

/// A call that blocks in MPI, on a thread of its own: the one that waits for it can give up. Then the
/// thread stays in MPI, as there is no way to end the call. Without `MPI_THREAD_MULTIPLE` the call
/// is made at once, on the thread that begins it.
pub(super) enum Blocking<T> {
    Begun(JoinHandle<T>),
    Done(T),
}

impl<T: Send + 'static> Blocking<T> {
    pub(super) fn begin(call: impl FnOnce() -> T + Send + 'static) -> Self {
        if threading_support() < Threading::Multiple {
            return Blocking::Done(call());
        }
        Blocking::Begun(thread::spawn(call))
    }

    pub(super) fn is_complete(&self) -> bool {
        match self {
            Blocking::Begun(thread) => thread.is_finished(),
            Blocking::Done(_) => true,
        }
    }

    /// The result of a call that is complete.
    pub(super) fn into_result(self) -> T {
        match self {
            Blocking::Begun(thread) => thread.join().expect("a call of MPI does not panic"),
            Blocking::Done(result) => result,
        }
    }
}
