//! Initializing MPI.

use crate::rsmpi::{act_at_end, end};
use std::fmt;
use std::ops::Deref;
use std::thread;

/// The exit code of a rank that has panicked, which is Rust's.
pub(super) const PANICKED: u8 = 101;

/// MPI, which is finalized when this is dropped; see [`initialize`].
pub struct Universe {
    /// Some until this is dropped.
    universe: Option<mpi::environment::Universe>,
    on_panic: OnPanic,
}

/// What a [`Universe`] does that is dropped because its thread panics; see [`Universe::on_panic`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum OnPanic {
    /// Aborts the job with code 101, unless all other ranks come to their end within a grace: 5
    /// seconds, or as many as the environment variable `MPISYNC_GRACE` says.
    #[default]
    Abort,
    /// Waits for the other ranks, however long they take, as if this rank had not panicked.
    Wait,
}

/// Initializes MPI with [`Threading::Multiple`](mpi::Threading::Multiple) if MPI supports it, so
/// that mpisync works on one host and on several. Collective over all processes of the world; may
/// be called once per process. Returns `None` if MPI was initialized before.
///
/// [`run`](crate::run) does this as well, and ends the job if a rank fails: begin a program with it
/// where you can.
///
/// On one host, [`mpi::initialize`] works as well, also where only some of the processes use
/// mpisync. If a communicator spans hosts, a progress thread answers the other hosts. Dropping this
/// universe ends the thread before `MPI_Finalize`, which MPICH requires.
///
/// Dropping the universe waits until all ranks drop theirs. A rank that drops it because its thread
/// panics waits for a grace, see [`OnPanic`].
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
    end::prepare(&universe.world());
    #[cfg(feature = "trace")]
    crate::rsmpi::trace::begin(&universe.world());
    Some(Universe {
        universe: Some(universe),
        on_panic: OnPanic::default(),
    })
}

impl Universe {
    /// What happens if this universe is dropped because its thread panics. Local; each rank decides
    /// for itself.
    ///
    /// ```no_run
    /// use mpisync::OnPanic;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let universe = universe.on_panic(OnPanic::Wait);
    /// ```
    pub fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.on_panic = on_panic;
        self
    }
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
        if self.on_panic == OnPanic::Abort && thread::panicking() {
            end::fail(PANICKED);
        }
        act_at_end();
        self.universe.take();
    }
}
