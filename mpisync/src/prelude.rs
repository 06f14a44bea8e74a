//! The names that most programs need: `use mpisync::prelude::*;`.

pub use crate::batch::{Batch, Task};
pub use crate::channel::{
    ChannelError, Consumer, Producer, PutError, RemoteChannel, SharedChannel,
};
pub use crate::collective::access::Access;
pub use crate::collective::fence::{Excluded, Fence, Writer};
pub use crate::error::{CollectiveError, CreateError, LockError};
pub use crate::guarded::{AppendFile, Guarded, Resource};
pub use crate::plain::Plain;
#[cfg(feature = "region")]
pub use crate::region::{
    Region, RegionError, RegionPartGuard, RegionReadGuard, RegionWriteGuard, SharedRegion,
    SharedRegionGuard,
};
pub use crate::rwlock::controller::WindowController;
pub use crate::rwlock::guard::{ReadGuard, WriteGuard};
pub use crate::rwlock::shared::SharedController;
pub use crate::rwlock::shared::guard::{SharedReadGuard, SharedWriteGuard};
pub use crate::sync::{
    Barrier, Condvar, Counter, Latch, Mutex, MutexGuard, OnceShared, Permit, Semaphore,
    SharedCounter, SharedMutex, SharedMutexGuard, SharedPermit, SharedSemaphore, Turn, TurnGuard,
};
#[cfg(feature = "mpi")]
pub use {
    crate::rsmpi::communicator::IntraCommunicator, mpi::topology::SimpleCommunicator,
    mpi::traits::*,
};
// This derive takes precedence over the derive of the same name among MPI's traits, which are glob imports. The trait
// `Equivalence` stays MPI's.
pub use mpisync_macros::Equivalence;
