//! Initializing MPI.

use std::fmt;
use std::ops::Deref;

/// MPI, which is finalized when this is dropped; see [`initialize`].
pub struct Universe {
    /// Some until this is dropped.
    universe: Option<mpi::environment::Universe>,
}

/// Initializes MPI with [`Threading::Multiple`](mpi::Threading::Multiple) if MPI supports it, so
/// that mpisync works on one host and on several. Collective over all processes; may be called once
/// per process. Returns `None` if MPI was initialized before.
///
/// On one host, [`mpi::initialize`] works as well. If a communicator spans hosts, a progress thread
/// answers the other hosts. Dropping this universe ends the thread before `MPI_Finalize`, which
/// MPICH requires.
///
/// A program that was started by the launcher of another MPI runs as several worlds of one process
/// each. Making an object there is an error,
/// [`CreateError::OtherLauncher`](crate::CreateError::OtherLauncher), unless the environment
/// variable `MPISYNC_SINGLETON` is `on`.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let ctrl = mpisync::sync(&universe.world())?;
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[must_use = "MPI is finalized when this is dropped"]
pub fn initialize() -> Option<Universe> {
    let (universe, _provided) = mpi::initialize_with_threading(mpi::Threading::Multiple)?;
    Some(Universe {
        universe: Some(universe),
    })
}

impl Deref for Universe {
    type Target = mpi::environment::Universe;

    fn deref(&self) -> &Self::Target {
        self.universe.as_ref().expect("MPI runs")
    }
}

impl fmt::Debug for Universe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Universe").finish_non_exhaustive()
    }
}

/// Waits for the other ranks and finalizes MPI.
impl Drop for Universe {
    fn drop(&mut self) {
        crate::rsmpi::act_at_end();
        self.universe.take();
    }
}
