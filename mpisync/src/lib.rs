//! The processes of an MPI program take turns at something they share: a file, a directory, a
//! service, a block of memory.
//!
//! A [`WindowController`] is one reader-writer lock for all ranks of a communicator. Guards hold
//! it, fences let one rank write while the others wait for what it shares, and what one does with
//! them in the wrong order does not compile.
//!
//! ```no_run
//! use mpisync::prelude::*;
//!
//! #[mpisync::single_write]
//! fn create(ctrl: &mut WindowController) -> Result<u64, CollectiveError> {
//!     // Runs on one rank, under the write lock; its value is returned on all ranks.
//!     Ok(42)
//! }
//!
//! let universe = mpisync::initialize().expect("MPI is initialized once");
//! let mut ctrl = mpisync::sync(&universe.world())?;
//! let header = create(&mut ctrl)?;
//! {
//!     let _reading = ctrl.read(); // with all other readers
//! }
//! {
//!     let _writing = ctrl.write(); // alone
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | type | what the ranks share |
//! | --- | --- |
//! | [`WindowController`] | a lock for something that lies elsewhere: a file, a service |
//! | [`Guarded`] | a file, or a handle of another library, with its lock |
//! | [`Region`] | an array in memory, one copy a node, which only guards reach |
//! | [`RemoteChannel`] | messages of one type, from any rank to any rank |
//! | [`Mutex`], [`Condvar`] | a lock in order of arrival, and a small value that travels with it |
//! | [`Semaphore`] | permits, so many at a time |
//! | [`Counter`] | numbers that are given out once |
//! | [`OnceShared`] | a value that one rank computes |
//! | [`Turn`], [`Barrier`] | the order in which they go on |
//! | [`Latch`] | a count that ranks wait for until it is zero |
//! | [`Batch`] | tasks for groups of ranks, whose states survive the job |
//!
//! # Features
//! - `mpi` (default): controllers on MPI communicators, by the crate [`mpi`](https://docs.rs/mpi). Without it only
//!   [`WindowController::local`] is there, and the crate builds without any MPI.
//! - `bytemuck`: `Pod`, a wrapper that makes every `bytemuck::Pod` type plain.
//! - `cli`: the program `mpisync-batch`, which shows how far the tasks in a state directory are, and sets them back; with
//!   `progress`, and by `anyhow`, `clap` and `serde_json`. It needs no MPI.
//! - `half`, `num-complex`: the numbers of the crates of these names as plain types.
//! - `futures`: channels as streams and sinks, by `futures-core` and `futures-sink`. Their futures need no feature.
//! - `progress`: `Batch::progress`, which shows how far a batch is while it runs, by `indicatif`.
//! - `region` (default): arrays that only guards reach, see [`Region`], by the crate
//!   [`ndarray`](https://docs.rs/ndarray), which `mpisync::ndarray` names again.
//!
//! # Folders
//! From the ground up; a file imports from its own folder and from those above it in this table.
//!
//! | folder | what it has |
//! | --- | --- |
//! | `shm` | the memory that the ranks of a node share, and how a rank waits; knows no object |
//! | `rsmpi` | all calls of MPI; knows no object |
//! | `net` | messages between nodes, and the server on each node that answers them; knows no object |
//! | `rendezvous` | how all ranks meet |
//! | `object` | what every shared object has: id, name, root, memory, network |
//! | `share` | how a value travels from one rank to the others |
//! | `rwlock` | [`WindowController`] and its guards, the lock on one node and across nodes |
//! | `collective` | fences and collective calls |
//! | `wait_queue` | ranks that wait in the order of their arrival |
//! | `channel` | [`RemoteChannel`] |
//! | `region`, `guarded` | [`Region`], [`Guarded`] |
//! | `sync` | [`Mutex`], [`Condvar`], [`Semaphore`], [`Counter`], [`OnceShared`], [`Turn`], [`Barrier`], [`Latch`] |
//! | `batch` | [`Batch`], its table of tasks and its state directory |
//!
//! The lock, the wait queue, the table of tasks and the ring of a channel are model-checked with
//! loom as they are, without MPI.

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
mod error;
mod fingerprint;
pub mod guarded;
#[doc = include_str!("misuse.md")]
pub mod misuse {}
mod location;
mod net;
mod object;
mod plain;
pub mod prelude;
#[cfg(feature = "region")]
pub mod region;
mod rendezvous;
#[cfg(feature = "mpi")]
mod rsmpi;
pub mod rwlock;
mod share;
mod shm;
pub mod sync;
mod thread;
mod transport;
mod wait_queue;

#[doc(inline)]
pub use crate::batch::{Batch, Task};
#[doc(inline)]
pub use crate::channel::{BulkError, ChannelError, Consumer, Producer, PutError, RemoteChannel};
pub use crate::collective::access::{Access, On};
pub use crate::collective::fence::{Excluded, Fence, Writer};
pub use crate::collective::scope::Collective;
pub use crate::error::{CollectiveError, CreateError, LockError, MemoryLimit};
#[doc(inline)]
pub use crate::guarded::Guarded;
pub use crate::location::Place;
pub use crate::plain::Plain;
#[cfg(feature = "bytemuck")]
pub use crate::plain::foreign::pod::Pod;
#[cfg(feature = "region")]
#[doc(inline)]
pub use crate::region::{Region, RegionError, RegionReadGuard, RegionWriteGuard};
pub use crate::rwlock::controller::WindowController;
pub use crate::rwlock::guard::{ReadGuard, UpgradeError, WriteGuard};
#[doc(inline)]
pub use crate::sync::{
    Barrier, Condvar, Counter, Latch, Mutex, MutexGuard, OnceShared, Permit, Semaphore, Turn,
    TurnGuard,
};
pub use crate::transport::Transport;
#[doc(inline)]
pub use mpisync_macros::{Equivalence, collective, single_write};
#[cfg(feature = "region")]
pub use ndarray;
#[cfg(feature = "mpi")]
pub use {
    crate::rsmpi::communicator::IntraCommunicator,
    crate::rsmpi::universe::{Universe, initialize},
    crate::rwlock::builder::{Builder, sync},
    mpi,
};

/// What the macros expand to.
#[doc(hidden)]
pub mod __private {
    pub use crate::__equivalence as equivalence;
    pub use crate::collective::fenced::{
        FencedError, agree, agree_on, failed, outcome, share, share_vec, write_alone,
    };
    pub use crate::plain::{Shape, field_is};
    #[cfg(feature = "region")]
    pub use crate::region::macros::{update, update_on};
    #[cfg(feature = "mpi")]
    pub use crate::rsmpi::datatype;

    use crate::location::CallSite;
    use crate::{Access, CollectiveError, WindowController};
    use std::panic::Location;

    #[track_caller]
    pub fn single_write<'a>(
        ctrl: &'a mut WindowController,
        name: &'static str,
    ) -> Result<Access<'a>, CollectiveError> {
        single_write_on(ctrl, ctrl.master(), name)
    }

    #[track_caller]
    pub fn single_write_on<'a>(
        ctrl: &'a mut WindowController,
        rank: i32,
        name: &'static str,
    ) -> Result<Access<'a>, CollectiveError> {
        ctrl.on(rank)?
            .enter(CallSite::new(name, Location::caller()))
    }
}
