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
//! | [`Latch`] | ranks wait until others have counted down to zero | |
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
mod latch;
mod mutex;
mod once;
mod semaphore;
mod spec;
mod turn;

pub use crate::sync::barrier::{Barrier, BarrierError, BarrierOf};
#[cfg(feature = "mpi")]
pub use crate::sync::builder::SyncBuilder;
pub use crate::sync::condvar::{Condvar, CondvarOf, Wake};
pub use crate::sync::counter::{Counter, CounterError, CounterOf, Integer, Reserved, UpTo, Values};
pub use crate::sync::latch::{Latch, LatchError, LatchOf};
pub use crate::sync::mutex::{Mutex, MutexGuard, MutexOf, ReborrowedMutexGuard};
pub use crate::sync::once::{OnceError, OnceOf, OnceShared};
pub use crate::sync::semaphore::{Permit, Semaphore, SemaphoreError, SemaphoreOf};
pub use crate::sync::spec::Spec;
pub use crate::sync::turn::{Turn, TurnError, TurnGuard, TurnOf};
