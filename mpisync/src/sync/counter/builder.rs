//! Making counters on MPI communicators.

use super::{Counter, Integer};
use crate::controller::WindowController;
use crate::error::CreateError;
use crate::lock::cluster::standing::HANDOVERS;
use crate::memory::mpi::{self, Terms};
use crate::transport::{Asked, Transport};
use ::mpi::traits::Communicator;
use std::any::type_name;

/// Makes a counter with a start, a step, a root and a name of choice.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let world = universe.world();
/// let counter = Counter::<u32>::builder(&world).start(100).step(2).build()?;
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[must_use = "nothing is made before `build`"]
#[derive(Debug)]
pub struct CounterBuilder<'a, T, C> {
    comm: &'a C,
    start: T,
    step: T,
    root: i32,
    name: String,
    asked: Asked,
}

impl<T: Integer> Counter<T> {
    /// A counter on `comm` from 0 in steps of 1, whose root is rank 0. Collective.
    ///
    /// # Errors
    /// Those of [`CounterBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let tasks = Counter::<u64>::new(&universe.world())?;
    /// for task in tasks.up_to(1000) {
    ///     println!("rank {} has task {task}", tasks.rank());
    /// }
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    pub fn new<C: Communicator>(comm: &C) -> Result<Self, CreateError> {
        Self::builder(comm).build()
    }

    /// Begins to make a counter on `comm`.
    pub fn builder<C: Communicator>(comm: &C) -> CounterBuilder<'_, T, C> {
        CounterBuilder {
            comm,
            start: T::ZERO,
            step: T::ONE,
            root: 0,
            name: "counter".to_owned(),
            asked: Asked::default(),
        }
    }
}

impl<T: Integer, C: Communicator> CounterBuilder<'_, T, C> {
    /// The first number; 0 if not said. The same on all ranks.
    pub fn start(mut self, start: T) -> Self {
        self.start = start;
        self
    }

    /// What it counts up by, which may be negative; 1 if not said. The same on all ranks.
    pub fn step(mut self, step: T) -> Self {
        self.step = step;
        self
    }

    /// The rank on whose node the number is; rank 0 if not said. The same on all ranks.
    pub fn root(mut self, rank: i32) -> Self {
        self.root = rank;
        self
    }

    /// A name for messages, of at most 200 bytes. The same on all ranks.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How the nodes reach each other; see [`Builder::transport`](crate::Builder::transport). The same on all ranks, and for
    /// all objects of a communicator.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.asked.transport = Some(transport);
        self
    }

    /// Whether a thread answers while the ranks compute; see
    /// [`Builder::progress_thread`](crate::Builder::progress_thread). The same on all ranks, and for all objects of a
    /// communicator. Without it ranks of other nodes get a number once the lowest rank of the root's node is in a call of
    /// mpisync that waits.
    pub fn progress_thread(mut self, on: bool) -> Self {
        self.asked.progress_thread = Some(on);
        self
    }

    /// Makes the counter. Collective; all ranks succeed or all fail.
    ///
    /// # Errors
    /// See [`CreateError`]: MPI that does not run, a root that is no rank, arguments or types that differ between ranks, no
    /// memory; on a communicator that spans nodes, MPI without threads.
    pub fn build(self) -> Result<Counter<T>, CreateError> {
        mpi::check_running()?;
        let (root, size) = (self.root, self.comm.size());
        let is_rank = (0..size).contains(&root);
        let terms = Terms {
            arguments: vec![
                ("type of numbers", type_name::<T>().to_owned()),
                ("start", self.start.to_string()),
                ("step", self.step.to_string()),
                ("root", root.to_string()),
            ],
            invalid: (!is_rank).then_some(CreateError::RootOutOfRange { root, size }),
            asked: self.asked.or_environment(),
            ..Terms::of("counter", &self.name)
        };
        mpi::block(self.comm, &terms, 0, |created| Counter {
            base: WindowController::join(created, root, self.name.clone(), HANDOVERS),
            start: self.start,
            step: self.step,
        })
    }
}
