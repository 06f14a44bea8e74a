//! The memory that the ranks of a node share, and how a rank waits there.
//!
//! Nothing in here knows MPI, another node, or an object.

pub(crate) mod arrival;
pub(crate) mod atomic;
pub(crate) mod block;
pub(crate) mod cells;
#[cfg(all(feature = "mpi", feature = "region"))]
pub(crate) mod copy;
pub(crate) mod domain;
pub(crate) mod event;
pub(crate) mod layout;
#[cfg(any(feature = "mpi", feature = "region"))]
pub(crate) mod limits;
pub(crate) mod line;
pub(crate) mod mapping;
pub(crate) mod membarrier;
pub(crate) mod process;
pub(crate) mod segment;
pub(crate) mod topology;
pub(crate) mod view;
pub(crate) mod wait;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, also after a thread has panicked with it: none of ours leaves what it guards half
/// changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
