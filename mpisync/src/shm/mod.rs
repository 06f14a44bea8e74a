//! The memory that the ranks of a node share, and how a rank waits there.
//!
//! This module knows neither MPI nor other nodes nor objects.

pub(crate) mod absence;
pub(crate) mod arrival;
pub(crate) mod atomic;
pub(crate) mod block;
pub(crate) mod buffer;
pub(crate) mod cells;
pub(crate) mod clock;
pub(crate) mod copy;
pub(crate) mod domain;
pub(crate) mod event;
mod exposed;
pub(crate) mod identity;
pub(crate) mod layout;
pub(crate) mod limits;
pub(crate) mod line;
#[cfg(feature = "mpi")]
pub(crate) mod listing;
pub(crate) mod liveness;
// The machine's atomics, fences and waits, or those of the model checker.
#[cfg(not(loom))]
mod machine;
#[cfg(loom)]
#[path = "model.rs"]
mod machine;
pub(crate) mod mapping;
pub(crate) mod membarrier;
pub(crate) mod members;
pub(crate) mod polling;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod segment;
#[cfg(feature = "mpi")]
pub(crate) mod signal;
pub(crate) mod survivors;
// Miri has no futexes and no `/proc`.
#[cfg(all(target_os = "linux", not(miri)))]
#[path = "system/linux.rs"]
mod system;
#[cfg(not(all(target_os = "linux", not(miri))))]
#[path = "system/other.rs"]
mod system;
#[cfg(test)]
mod tests;
pub(crate) mod topology;
pub(crate) mod view;
pub(crate) mod wait;
pub(crate) mod waiting;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even if a thread has panicked while it held it: no thread leaves the data of
/// these mutexes half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
