//! The time in which MPI runs.

use std::fmt;
use std::ops::Deref;

/// MPI, running until this is dropped; see [`initialize`].
pub struct Universe {
    /// Some until it is dropped.
    universe: Option<mpi::environment::Universe>,
}

/// Initializes MPI so that mpisync works on one host and on many: with
/// [`Threading::Multiple`](mpi::Threading::Multiple), where MPI can do that. Collective over all
/// processes; may be called once per process. `None` if MPI was initialized before.
///
/// On one host [`mpi::initialize`] does as well. Where a communicator spans hosts, a thread of
/// mpisync answers the other hosts, and dropping this universe ends it before MPI ends, as MPICH
/// needs it.
///
/// A program that another MPI's launcher has started runs as several worlds of one process each.
/// Making an object there is [`CreateError::OtherLauncher`](crate::CreateError::OtherLauncher),
/// unless the environment variable `MPISYNC_SINGLETON` is `on`.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let ctrl = mpisync::sync(&universe.world())?;
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[must_use = "MPI ends when this is dropped"]
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

/// Waits for the other ranks and ends MPI.
impl Drop for Universe {
    fn drop(&mut self) {
        crate::rsmpi::act_at_end();
        self.universe.take();
    }
}
