//! Making controllers on MPI communicators.

use crate::error::CreateError;
use crate::object::builder::{CommonArguments, setters};
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rwlock::controller::{WindowController, layout};
use crate::rwlock::global::token::MAX_LOCAL_HANDOVERS;
use crate::rwlock::memory::LockLayout;

/// Makes a controller on `comm`, whose master is rank 0. Collective.
///
/// # Errors
/// Those of [`Builder::build`].
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let ctrl = mpisync::sync(&universe.world())?;
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[track_caller]
pub fn sync<C: IntraCommunicator>(comm: &C) -> Result<WindowController, CreateError> {
    WindowController::builder(comm).build()
}

/// Makes a controller with a master and a name of choice.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let world = universe.world();
/// let ctrl = WindowController::builder(&world).master(1).name("results").build()?;
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[must_use = "nothing is made before `build`"]
#[derive(Debug)]
pub struct Builder<'a, C> {
    common: CommonArguments<'a, C>,
    max_local_handovers: u32,
    threads: usize,
}

impl WindowController {
    /// Begins to make a controller on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> Builder<'_, C> {
        Builder {
            common: CommonArguments::new(comm, "master", "controller"),
            max_local_handovers: MAX_LOCAL_HANDOVERS,
            threads: 1,
        }
    }
}

impl<C: IntraCommunicator> Builder<'_, C> {
    /// Sets the rank that writes in [`single_write`](WindowController::single_write). Defaults to
    /// rank 0. Must be the same on all ranks.
    pub fn master(mut self, rank: i32) -> Self {
        self.common.root = rank;
        self
    }

    setters!(name, transport of common;
        "As long as that rank computes, writers on other nodes wait, and so do readers where the \
         gates are closed.");

    /// How many writers of one node may follow each other while another node waits. Defaults to 16.
    /// Must be 1 at least and the same on all ranks; has no effect on one node.
    ///
    /// A hand-over inside a node takes some hundred nanoseconds, and one to another node a message:
    /// a higher limit gives more throughput when all ranks write, and lets other nodes wait longer.
    pub fn max_local_handovers(mut self, limit: u32) -> Self {
        self.max_local_handovers = limit.max(1);
        self
    }

    /// How many threads of each rank take the lock at the same time, see
    /// [`WindowController::shared`]. Defaults to 1. Must be 1 at least and the same on all ranks.
    ///
    /// Each thread beyond the first takes a cache line (128 bytes) for each rank of a node, and the number is
    /// rounded up to a power of two, at most 256. More threads than that may take the lock; some then share a line.
    pub fn threads(mut self, count: usize) -> Self {
        self.threads = LockLayout::possible_threads(count);
        self
    }

    /// Makes the controller. Collective; all ranks succeed or all fail. The first controller of a
    /// communicator sets up shared memory; each further one costs a broadcast and a reduction of a
    /// few bytes.
    ///
    /// The ranks make the same objects in the same order, and each object at one place of the
    /// program, that of this call (file, line and column are compared). A function that is called
    /// in several branches is one place; [`anywhere`](Self::anywhere) allows several.
    ///
    /// Threads of a rank that make objects on one communicator do so one after the other. They need
    /// the same order on all ranks, too. With
    /// [`Threading::Serialized`](::mpi::Threading::Serialized) the program sees to it that no two
    /// threads call MPI or mpisync at the same time.
    ///
    /// # Errors
    /// See [`CreateError`]: MPI that does not run, or not for this thread, an inter-communicator,
    /// another MPI's launcher, a master that is no rank, objects or arguments that differ between
    /// ranks, several nodes and an MPI that was not initialized for several threads, windows that
    /// MPI cannot make, no memory.
    #[track_caller]
    pub fn build(self) -> Result<WindowController, CreateError> {
        let creation = self.common.begin()?;
        let limit = self.max_local_handovers;
        let own = vec![
            ("limit of hand-overs", limit.to_string()),
            ("number of threads", self.threads.to_string()),
        ];
        let arguments = self.common.compared(&creation, "controller", own, None);
        let join = |object, _| WindowController::new(object, limit);
        let lock = LockLayout::for_threads(self.threads);
        self.common
            .make(&creation, &arguments, &layout(lock), 0, join)
    }
}
