//! What most programs need: `use mpisync::prelude::*;`.

pub use crate::access::Access;
pub use crate::batch::{Batch, Task};
pub use crate::channel::{ChannelError, Consumer, Producer, PutError, RemoteChannel};
#[cfg(feature = "mpi")]
pub use crate::communicator::IntraCommunicator;
pub use crate::controller::WindowController;
pub use crate::error::{CreateError, FenceError, LockError};
pub use crate::fence::{Excluded, Fence, Writer};
pub use crate::guard::{ReadGuard, WriteGuard};
pub use crate::guarded::{AppendFile, Guarded, Resource};
pub use crate::plain::Plain;
#[cfg(feature = "region")]
pub use crate::region::{Region, RegionError, RegionReadGuard, RegionWriteGuard};
pub use crate::sync::{
    Barrier, Condvar, Counter, Mutex, MutexGuard, OnceShared, Permit, Semaphore, Turn, TurnGuard,
};
#[cfg(feature = "mpi")]
pub use mpi::traits::*;
// The derive of this name, in place of the one among MPI's traits, which are glob imports; the trait stays MPI's.
pub use mpisync_macros::Equivalence;
