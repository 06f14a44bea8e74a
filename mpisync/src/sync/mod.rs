//! Small objects that the ranks of a communicator share: a fair mutex, a condition variable, a
//! semaphore, a counter, a turn, a barrier, a latch, and a value that is computed once.
//!
//! | type | purpose | in mpi4py.util.sync |
//! | --- | --- | --- |
//! | [`Mutex`] | one rank at a time, in order of arrival | `Mutex` |
//! | [`Condvar`] | waits until another rank has changed something under a mutex | `Condition` |
//! | [`Semaphore`] | a limited number of ranks at a time | `Semaphore` |
//! | [`Counter`] | gives out each number once | `Counter` |
//! | [`Turn`] | one rank after the other, in rank order | `Sequential` |
//! | [`Barrier`] | all ranks wait for each other and learn which are missing | |
//! | [`Latch`] | ranks wait until others have counted down to zero | |
//! | [`OnceShared`] | a value that one rank computes and all ranks read | |
//!
//! Each object is made on a communicator, by `new` or a [`SyncBuilder`], or for one process without
//! MPI by `local`. Objects share the memory of the communicator. Making one costs a broadcast and a
//! reduction of a few bytes; dropping one costs nothing.
//!
//! All objects but turns and barriers live on the node of their root, which defaults to rank 0:
//! there the object is a few words of shared memory that the ranks of the node change directly.
//! Ranks of other nodes send requests, which the lowest rank of the root's node answers in its
//! progress thread.
//!
//! [`Mutex::shared`], [`Semaphore::shared`] and [`Counter::shared`] let the threads of a rank use them.

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
pub use crate::sync::counter::{
    Counter, CounterError, CounterOf, Integer, Reserved, SharedCounter, UpTo, Values,
};
pub use crate::sync::latch::{Latch, LatchError, LatchOf};
pub use crate::sync::mutex::{
    LockFuture, Mutex, MutexGuard, MutexOf, ReborrowedMutexGuard, SharedMutex, SharedMutexGuard,
};
pub use crate::sync::once::{OnceError, OnceOf, OnceShared};
pub use crate::sync::semaphore::{
    AcquireFuture, Permit, Semaphore, SemaphoreError, SemaphoreOf, SharedPermit, SharedSemaphore,
};
pub use crate::sync::spec::Spec;
pub use crate::sync::turn::{Turn, TurnError, TurnGuard, TurnOf};
