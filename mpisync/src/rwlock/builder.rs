//! Making controllers on MPI communicators.

use crate::error::CreateError;
use crate::object::Object;
use crate::rsmpi;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rsmpi::{Creation, CreationArguments};
use crate::rwlock::controller::{CONTROLLER, WindowController};
use crate::rwlock::global::standing::MAX_LOCAL_HANDOVERS;
use crate::transport::{Transport, TransportOptions};
use std::panic::Location;

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
    comm: &'a C,
    master: i32,
    name: String,
    max_local_handovers: u32,
    asked: TransportOptions,
    anywhere: bool,
}

impl WindowController {
    /// Begins to make a controller on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> Builder<'_, C> {
        Builder {
            comm,
            master: 0,
            name: "controller".to_owned(),
            max_local_handovers: MAX_LOCAL_HANDOVERS,
            asked: TransportOptions::default(),
            anywhere: false,
        }
    }
}

impl<C: IntraCommunicator> Builder<'_, C> {
    /// The rank that writes in [`single_write`](WindowController::single_write). Defaults to rank
    /// 0. Must be the same on all ranks.
    pub fn master(mut self, rank: i32) -> Self {
        self.master = rank;
        self
    }

    /// A name for messages, of at most 200 bytes. Must be the same on all ranks.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many writers of one node may follow each other while another node waits. Defaults to 16.
    /// Must be 1 at least and the same on all ranks; has no effect on one node.
    ///
    /// A hand-over inside a node takes some hundred nanoseconds, and one to another node a message:
    /// a higher limit gives more throughput when all ranks write, and lets other nodes wait longer.
    pub fn max_local_handovers(mut self, limit: u32) -> Self {
        self.max_local_handovers = limit.max(1);
        self
    }

    /// How nodes reach each other: [`Transport::Messages`] if not said, or what the environment
    /// variable `MPISYNC_TRANSPORT` says (`messages`, `windows` or `auto`). Must be the same on all
    /// ranks, and without effect on one node. All controllers of a communicator share one
    /// transport, that of the first.
    ///
    /// Messages work with every MPI, and took less time wherever both were measured. Windows are
    /// for networks whose adapters do `MPI_Accumulate` by themselves. Not every MPI can make
    /// windows over hosts: Open MPI 4, as Debian configures it, cannot on Ethernet.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.asked.transport = Some(transport);
        self
    }

    /// Whether a thread answers other nodes while the ranks of a node compute; true if not said, or
    /// what the environment variable `MPISYNC_PROGRESS_THREAD` says (`on` or `off`). Must be the
    /// same on all ranks, and without effect on one node. All controllers of a communicator share
    /// it.
    ///
    /// Without it MPI need not be initialized for several threads, and a node answers while its
    /// lowest rank is in a call of mpisync that waits: as long as that rank computes, writers on
    /// other nodes wait, and so do readers where the gates are closed.
    pub fn progress_thread(mut self, on: bool) -> Self {
        self.asked.progress_thread = Some(on);
        self
    }

    /// Lets the ranks make it at different places of the program, such as the branches of an `if`:
    /// the place is not compared. To be said on all ranks.
    ///
    /// All ranks have to make the same objects in the same order. That they make each at one place
    /// is how a wrong order is noticed. Programs that were compiled from different sources need
    /// this as well.
    pub fn anywhere(mut self) -> Self {
        self.anywhere = true;
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
        let creation = Creation::begin(self.comm, Location::caller())?;
        let size = self.comm.size();
        let arguments = CreationArguments {
            arguments: vec![
                ("master", self.master.to_string()),
                ("limit of hand-overs", self.max_local_handovers.to_string()),
            ],
            invalid: CreateError::check_rank("master", self.master, size),
            asked: self.asked.or_environment(),
            anywhere: self.anywhere,
            ..creation.arguments("controller", &self.name)
        };
        rsmpi::block(&creation, &arguments, &CONTROLLER, 0, |created| {
            let name = self.name.clone();
            let object = Object::join(created, self.master, name);
            WindowController::new(object, self.max_local_handovers)
        })
    }
}
