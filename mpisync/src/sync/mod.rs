//! The smaller things that the ranks of a communicator share: a lock in order of arrival, a
//! condition, permits, numbers, a value.
//!
//! | type | what it is for | in mpi4py.util.sync |
//! | --- | --- | --- |
//! | [`Mutex`] | one rank at a time, in the order in which they came | `Mutex` |
//! | [`Condvar`] | until another rank has changed something under a mutex | `Condition` |
//! | [`Semaphore`] | so many ranks at a time | `Semaphore` |
//! | [`Counter`] | each number once | `Counter` |
//! | [`Turn`] | one rank after the other, in the order of their numbers | `Sequential` |
//! | [`Barrier`] | all ranks wait for each other, and learn who is missing | |
//! | [`OnceShared`] | a value that one rank computes | |
//!
//! All of them are made on a communicator, by `new` or a [`SyncBuilder`], and for one process
//! without MPI by `local`. They share the communicator's memory; making one costs a broadcast and a
//! reduction of a few bytes, dropping it costs nothing. Each but turns and barriers lives on the
//! node of its root, rank 0 if not said. There it is a few words that the ranks change; the others
//! ask, and the lowest rank of that node answers from its progress thread.

mod barrier;
mod base;
#[cfg(feature = "mpi")]
mod builder;
mod condvar;
mod counter;
mod mutex;
mod once;
mod semaphore;
mod turn;

#[cfg(feature = "mpi")]
pub use crate::sync::barrier::BarrierOf;
pub use crate::sync::barrier::{Barrier, BarrierError};
#[cfg(feature = "mpi")]
pub use crate::sync::builder::{Spec, SyncBuilder};
#[cfg(feature = "mpi")]
pub use crate::sync::condvar::CondvarOf;
pub use crate::sync::condvar::{Condvar, Wake};
#[cfg(feature = "mpi")]
pub use crate::sync::counter::CounterOf;
pub use crate::sync::counter::{Counter, CounterError, Integer, Reserved, UpTo, Values};
#[cfg(feature = "mpi")]
pub use crate::sync::mutex::MutexOf;
pub use crate::sync::mutex::{Mutex, MutexGuard, ReborrowedMutexGuard};
#[cfg(feature = "mpi")]
pub use crate::sync::once::OnceOf;
pub use crate::sync::once::{OnceError, OnceShared};
#[cfg(feature = "mpi")]
pub use crate::sync::semaphore::SemaphoreOf;
pub use crate::sync::semaphore::{Permit, Semaphore, SemaphoreError};
#[cfg(feature = "mpi")]
pub use crate::sync::turn::TurnOf;
pub use crate::sync::turn::{Turn, TurnError, TurnGuard};
