//! Locks, fences, channels, shared arrays and task queues for the ranks of an MPI program.
//!
//! mpisync lets ranks take turns at something they share: a file, a directory, a service, a block
//! of memory. Guards and typed fences let the compiler reject the mistakes that make such programs
//! hang. The [`guide`] explains how to use it, chapter by chapter.
//!
//! ```no_run
//! use mpisync::prelude::*;
//!
//! /// One rank runs the body, under the write lock. All ranks return its value, or its error.
//! #[mpisync::single_write]
//! fn create(ctrl: &mut WindowController) -> Result<u64, CollectiveError> {
//!     Ok(42)
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     mpisync::run(|world| -> Result<(), Box<dyn std::error::Error>> {
//!         let mut ctrl = mpisync::sync(world)?;
//!         let header = create(&mut ctrl)?;
//!         {
//!             let _reading = ctrl.read(); // many ranks at the same time
//!         }
//!         {
//!             let _writing = ctrl.write(); // one rank, and no reader
//!         }
//!         Ok(())
//!     })
//! }
//! ```
//!
//! [`run`] initializes MPI, prints the errors of all ranks, and ends the job if a rank fails and
//! the others do not end.
//!
//! # The one rule that hangs programs
//! **All ranks of a communicator must make the same collective calls in the same order.** Collective
//! are: making an object, `close`, every `#[single_write]` and `#[collective]` function, and each
//! method whose documentation says so. All other calls are local: a rank makes them when it likes.
//!
//! This program breaks the rule, because one rank makes an object that the others do not make:
//!
//! ```no_run
//! # use mpisync::prelude::*;
//! # let universe = mpisync::initialize().expect("MPI is initialized once");
//! # let world = universe.world();
//! if world.rank() == 0 {
//!     let numbers = Counter::<u64>::new(&world)?; // waits for ranks that never come
//!     println!("{}", numbers.next());
//! }
//! # Ok::<(), mpisync::CreateError>(())
//! ```
//!
//! Make the object on all ranks, and let one rank use it:
//!
//! ```no_run
//! # use mpisync::prelude::*;
//! # let universe = mpisync::initialize().expect("MPI is initialized once");
//! # let world = universe.world();
//! let numbers = Counter::<u64>::new(&world)?;
//! if world.rank() == 0 {
//!     println!("{}", numbers.next());
//! }
//! # Ok::<(), mpisync::CreateError>(())
//! ```
//!
//! The compiler does not check the order. The ranks compare the places of their calls (file, line
//! and column) at run time, or the functions if these have an attribute of this crate. Ranks that
//! meet in different calls get [`CreateError::Diverged`] or [`CollectiveError::Diverged`], which names
//! both calls with their objects and places. A rank that makes no further collective call cannot be
//! compared, and the others wait for it. [`guide::stalls`] tells how to find it.
//!
//! # All objects
//! All of these are made on a communicator, by all its ranks. Each has a form without MPI for one
//! process, called `local`. [`guide::choosing`] compares them and lists their calls.
//!
//! | type | what the ranks share | choose it for |
//! | --- | --- | --- |
//! | [`WindowController`] | a reader-writer lock | something that lies elsewhere, mostly read; steps that one rank does for all |
//! | [`Guarded`] | a file or a handle of another library, with its lock | files: it is open only while the lock is held |
//! | [`Region`] | an array in memory, one copy a node | data that all ranks read in place and few change |
//! | [`RemoteChannel`] | a queue of messages of one plain type | handing work or results from rank to rank |
//! | [`Mutex`] | a lock granted in order of arrival, with a value of up to 4 KiB | a small value that all ranks change; strict fairness |
//! | [`Condvar`] | a condition under a mutex | waiting until another rank has changed that value |
//! | [`Semaphore`] | permits | limiting how many ranks do something at the same time |
//! | [`Counter`] | numbers, each given out once | sharing out loop iterations |
//! | [`OnceShared`] | a value that one rank computes | lazy set-up, by the rank that needs it first |
//! | [`Turn`] | a turn that passes from rank to rank | output in rank order |
//! | [`Barrier`] | a meeting point | waiting for all ranks, with a time limit that names the missing ones |
//! | [`Latch`] | a count that goes down to zero once | waiting until other ranks have finished a number of things |
//! | [`Batch`] | tasks for groups of ranks | many independent tasks whose states must survive the job |
//!
//! # Threads
//! [`run`] and [`initialize`] ask MPI for `MPI_THREAD_MULTIPLE`. What is needed:
//!
//! | ranks run on | thread level |
//! | --- | --- |
//! | one node | any; below `MPI_THREAD_SERIALIZED` only the thread that initialized MPI makes objects ([`CreateError::WrongThread`]) |
//! | several nodes | `MPI_THREAD_MULTIPLE` ([`CreateError::Threads`]), because a thread of the leader answers the other nodes; any level with [`Builder::progress_thread`]`(false)` |
//!
//! Objects, guards, fences, permits and tasks are neither `Send` nor `Sync`: they stay on the thread
//! that made them. Lend other threads what is guarded instead. `&*guard` of a [`MutexGuard`] and
//! `guard.view()` of a region's guard can be used in [`std::thread::scope`], and a
//! [`RegionReadGuard`] is itself `Sync`. Error types are `Send` and `Sync`.
//!
//! The method `shared` of controllers, regions, mutexes, semaphores, counters and channels lets the
//! threads of a rank [use them together](guide::choosing#threads-of-a-rank): [`WindowController::shared`].
//! What it makes borrows the object, so collective calls stay on the object's thread and cannot be made
//! meanwhile. The threads need `MPI_THREAD_MULTIPLE` over several nodes ([`CreateError::SharedByThreads`]),
//! and nothing of MPI on one.
//!
//! # Terms
//! - **Rank**: one process of a communicator, and its number in it, which counts from 0.
//! - **Node**: the ranks that can share memory, which is usually one host.
//! - **Leader**: the lowest rank of a node, whose progress thread answers the other nodes.
//! - **Progress thread**: the thread of a leader that receives messages of other nodes.
//! - **Root**: the rank on whose node an object's state lives; defaults to rank 0.
//! - **Master**: the root of a [`WindowController`], which is also the rank that runs a
//!   [`single_write`](macro@single_write).
//! - **Collective call**: a call that all ranks of the communicator make together.
//! - **Local call**: a call that involves no other rank's cooperation; also, in names such as
//!   `Mutex::local`, an object of one process without MPI.
//! - **Guard**: a value that holds a lock and releases it when it is dropped.
//! - **Fence**: a value that a rank has between the beginning and the end of a collective call in
//!   which one rank writes; the writer shares through its [`Fence`], the others collect.
//! - **Writer**: the one rank that runs the body of such a call.
//! - **Excluded rank**: any other rank in such a call; it waits for the writer.
//! - **Poisoned**: a lock whose holder died while writing; every later request for it is
//!   [`LockError::HolderDied`], until a rank takes it over.
//! - **Plain type**: a type whose bytes mean the same in every process, see [`Plain`].
//! - **Permit**: the right to do something that a [`Semaphore`] limits; given back when dropped.
//! - **Task, worker**: a unit of work of a [`Batch`], and the group of ranks that runs it.
//! - **State directory**: the directory where a batch keeps the states of its tasks.
//! - **Transport**: the way in which nodes reach each other, see [`Transport`].
//!
//! # Features
//! | feature | what it adds |
//! | --- | --- |
//! | `mpi` (default) | objects on MPI communicators, by the crate [`mpi`](https://docs.rs/mpi), which `mpisync::mpi` names again; without it the crate needs no MPI and has the `local` forms only |
//! | `region` (default) | [`Region`], by the crate [`ndarray`](https://docs.rs/ndarray), which `mpisync::ndarray` names again |
//! | `bytemuck` | `Pod`, a wrapper that makes every `bytemuck::Pod` type plain |
//! | `half`, `num-complex` | the numbers of these crates as plain types |
//! | `futures` | the ends of a channel as `Stream` and `Sink`; [futures](guide::futures) such as `take_async` need no feature |
//! | `progress` | `Batch::progress`, a progress bar for batches |
//! | `inspect` | nothing for programs: what the crate `mpisync-cli` needs of this one, without a promise of stability |
//!
//! # Programs
//! The crate `mpisync-cli` has `mpisync-batch`, which [shows and resets](guide::choosing#batches-and-the-program-mpisync-batch) the
//! state directories of batches, and `mpisync-top`, which [shows](guide::stalls#see-all-ranks-of-a-node-from-outside) the objects
//! of running jobs with who holds them and who waits. They need no MPI.
//!
//! # Source code
//! [ARCHITECTURE.md](https://github.com/mpisync/mpisync/blob/main/ARCHITECTURE.md) describes the
//! folders and the way of a call through them.

#![warn(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(feature = "mpi", feature = "region")),
    allow(
        dead_code,
        unused_imports,
        rustdoc::broken_intra_doc_links,
        reason = "code that only a feature uses compiles without it, and links may lead to items of the feature"
    )
)]

pub mod batch;
pub mod channel;
mod collective;
mod environment;
mod error;
mod fingerprint;
pub mod guarded;
pub mod guide;
#[cfg(all(feature = "inspect", not(loom)))]
#[doc(hidden)]
pub mod inspect;
mod location;
mod lock_all;
mod net;
mod object;
mod plain;
pub mod prelude;
#[cfg(feature = "region")]
pub mod region;
mod rendezvous;
#[cfg(feature = "mpi")]
mod rsmpi;
mod rwlock;
mod share;
mod shm;
mod span;
pub mod sync;
mod thread;
mod transport;
mod wait_queue;

#[doc(inline)]
pub use crate::batch::{Batch, Task};
#[doc(inline)]
pub use crate::channel::{
    BulkError, ChannelError, Consumer, Producer, PutError, RemoteChannel, SharedChannel,
};
pub use crate::collective::access::{Access, On};
pub use crate::collective::fence::{Excluded, Fence, Writer};
pub use crate::collective::future::{AccessFuture, CollectFuture};
pub use crate::collective::scope::Collective;
pub use crate::error::{
    CollectiveError, CreateError, HostRanks, LockError, MemoryLimit, ObjectCall, WaitReport,
};
#[doc(inline)]
pub use crate::guarded::Guarded;
pub use crate::location::Place;
pub use crate::lock_all::{Lock, LockSet, lock_all, lock_all_timeout};
pub use crate::plain::Plain;
#[cfg(feature = "bytemuck")]
pub use crate::plain::foreign::pod::Pod;
#[cfg(feature = "region")]
#[doc(inline)]
pub use crate::region::{
    Region, RegionError, RegionPartGuard, RegionReadGuard, RegionWriteGuard, SharedRegion,
    SharedRegionGuard,
};
pub use crate::rwlock::controller::WindowController;
pub use crate::rwlock::future::{ReadFuture, WriteFuture};
pub use crate::rwlock::guard::{ReadGuard, UpgradeError, WriteGuard};
pub use crate::rwlock::shared::SharedController;
pub use crate::rwlock::shared::guard::{SharedReadGuard, SharedWriteGuard};
pub use crate::rwlock::threads::{ThreadRank, ThreadRanks};
#[cfg(feature = "mpi")]
pub use crate::shm::waiting::report_waits_on_signal;
#[doc(inline)]
pub use crate::shm::waiting::{OnDeadlock, interrupt_waits, on_deadlock, report_waits_after};
#[doc(inline)]
pub use crate::sync::{
    Barrier, Condvar, Counter, Latch, Mutex, MutexGuard, OnceShared, Permit, Semaphore,
    SharedCounter, SharedMutex, SharedMutexGuard, SharedPermit, SharedSemaphore, Turn, TurnGuard,
};
pub use crate::transport::Transport;
#[doc(inline)]
pub use mpisync_macros::{Equivalence, collective, single_write};
#[cfg(feature = "region")]
pub use ndarray;
#[cfg(feature = "mpi")]
pub use {
    crate::rsmpi::communicator::IntraCommunicator,
    crate::rsmpi::run::run,
    crate::rsmpi::survivors::survivors,
    crate::rsmpi::universe::{OnPanic, Universe, initialize},
    crate::rwlock::builder::{Builder, sync},
    mpi,
};

/// What the macros expand to, and what `mpisync-test` and the package for Python need.
#[doc(hidden)]
pub mod __private {
    pub use crate::__equivalence as equivalence;
    pub use crate::__function as function;
    pub use crate::collective::fenced::{
        FencedError, agree, agree_on, failed, outcome, share, share_vec, write_alone,
    };
    pub use crate::location::{Function, find_places_by};
    pub use crate::plain::{Shape, field_is};
    #[cfg(feature = "region")]
    pub use crate::region::macros::{update, update_on};
    #[cfg(feature = "mpi")]
    pub use crate::rsmpi::{datatype, run::with_causes};

    use crate::location::CallSite;
    use crate::{Access, CollectiveError, WindowController};
    use std::panic::Location;
    use std::time::Duration;

    #[cfg(feature = "mpi")]
    pub fn end() {
        crate::rsmpi::end();
    }

    #[track_caller]
    pub fn single_write<'a>(
        ctrl: &'a mut WindowController,
        function: Function,
    ) -> Result<Access<'a>, CollectiveError> {
        single_write_on(ctrl, ctrl.master(), function)
    }

    #[track_caller]
    pub fn single_write_on<'a>(
        ctrl: &'a mut WindowController,
        rank: i32,
        function: Function,
    ) -> Result<Access<'a>, CollectiveError> {
        single_write_within(ctrl, rank, Duration::MAX, function)
    }

    #[track_caller]
    pub fn single_write_within<'a>(
        ctrl: &'a mut WindowController,
        rank: i32,
        limit: Duration,
        function: Function,
    ) -> Result<Access<'a>, CollectiveError> {
        let site = CallSite::of(function, Location::caller());
        ctrl.on(rank)?.enter(limit, site)
    }
}
