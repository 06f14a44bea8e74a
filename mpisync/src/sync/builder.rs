//! Makes the objects of this folder on MPI communicators.

use crate::error::CreateError;
use crate::object::builder::{CommonArguments, setters};
use crate::plain::Plain;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::sync::barrier::{Barrier, BarrierOf};
use crate::sync::condvar::{Condvar, CondvarOf};
use crate::sync::counter::{Counter, CounterOf, Integer};
use crate::sync::latch::{Latch, LatchOf};
use crate::sync::mutex::{Mutex, MutexOf, assert_fits};
use crate::sync::once::{OnceOf, OnceShared};
use crate::sync::semaphore::{Semaphore, SemaphoreOf};
use crate::sync::spec::Spec;
use crate::sync::turn::{Turn, TurnOf};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Makes an object of kind `O` on a communicator, with a root, a name and further arguments.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let world = universe.world();
/// let counter = Counter::<u32>::builder(&world).start(100).step(2).build()?;
/// let mutex = Mutex::builder(&world).root(world.size() - 1).name("results").build()?;
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[must_use = "nothing is made before `build`"]
#[derive(Debug)]
pub struct SyncBuilder<'a, O, C> {
    common: CommonArguments<'a, C>,
    spec: O,
}

impl<'a, O: Spec, C: IntraCommunicator> SyncBuilder<'a, O, C> {
    fn new(comm: &'a C, spec: O) -> Self {
        let common = CommonArguments::new(comm, "root", O::KIND);
        SyncBuilder { common, spec }
    }

    /// Sets the rank on whose node the object lives. Defaults to rank 0. Must be the same on all
    /// ranks; has no effect on a turn or a barrier, of which each node has a part.
    pub fn root(mut self, rank: i32) -> Self {
        self.common.root = rank;
        self
    }

    setters!(name, transport of common;
        "Ranks of other nodes get an answer once the lowest rank of the root's node is in such a \
         call.");

    /// Makes the object. Collective; all ranks succeed or all fail.
    ///
    /// # Errors
    /// See [`CreateError`]: those of [`Builder::build`](crate::Builder::build); a root that is not
    /// a rank; arguments or types that are invalid or differ between ranks; too little memory; and
    /// MPI without thread support, on a communicator that spans nodes.
    #[track_caller]
    pub fn build(self) -> Result<O::Made, CreateError> {
        let SyncBuilder { common, spec } = self;
        let creation = common.begin()?;
        let layout = spec.layout(common.root);
        let arguments = common.compared(&creation, O::KIND, spec.arguments(), spec.invalid());
        common.make(&creation, &arguments, &layout, 0, |object, _| {
            spec.make(object)
        })
    }
}

impl Mutex {
    /// Makes a mutex on `comm` whose root is rank 0. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let mut licence = Mutex::new(&universe.world())?;
    /// {
    ///     let _mine = licence.lock();
    ///     // One rank at a time, in the order of arrival.
    /// }
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C) -> Result<Self, CreateError> {
        Self::builder(comm).build()
    }

    /// Begins to make a mutex on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> SyncBuilder<'_, MutexOf<()>, C> {
        SyncBuilder::new(comm, MutexOf { value: () })
    }
}

impl<T: Plain> Mutex<T> {
    /// Makes a mutex on `comm` that guards `value`. Its root is rank 0. The value must be the same
    /// on all ranks. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let mut best = Mutex::with_value(&universe.world(), f64::INFINITY)?;
    /// let found = 0.25;
    /// let mut best = best.lock();
    /// *best = best.min(found);
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn with_value<C: IntraCommunicator>(comm: &C, value: T) -> Result<Self, CreateError> {
        const { assert_fits::<T>() }
        Mutex::builder(comm).value(value).build()
    }
}

impl<'a, C: IntraCommunicator> SyncBuilder<'a, MutexOf<()>, C> {
    /// Sets the value that the mutex guards. Must be the same on all ranks.
    pub fn value<T: Plain>(self, value: T) -> SyncBuilder<'a, MutexOf<T>, C> {
        const { assert_fits::<T>() }
        SyncBuilder {
            common: self.common,
            spec: MutexOf { value },
        }
    }
}

impl Condvar {
    /// Makes a condition variable on `comm` whose root is rank 0. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C) -> Result<Self, CreateError> {
        Self::builder(comm).build()
    }

    /// Begins to make a condition variable on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> SyncBuilder<'_, CondvarOf, C> {
        SyncBuilder::new(comm, CondvarOf)
    }
}

impl Semaphore {
    /// Makes a semaphore on `comm` that has `permits` permits and never more. Its root is rank 0.
    /// Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let requests = Semaphore::new(&universe.world(), 3)?;
    /// let permit = requests.acquire();
    /// // At most three ranks ask the service at the same time.
    /// drop(permit);
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C, permits: u32) -> Result<Self, CreateError> {
        Self::builder(comm, permits).build()
    }

    /// Begins to make a semaphore on `comm`.
    pub fn builder<C: IntraCommunicator>(
        comm: &C,
        permits: u32,
    ) -> SyncBuilder<'_, SemaphoreOf, C> {
        SyncBuilder::new(comm, SemaphoreOf::bounded(permits))
    }
}

impl<C: IntraCommunicator> SyncBuilder<'_, SemaphoreOf, C> {
    /// Lets ranks [release](Semaphore::release) more permits than the semaphore started with.
    /// Defaults to bounded. Must be the same on all ranks.
    pub fn unbounded(mut self) -> Self {
        self.spec.is_bounded = false;
        self
    }
}

impl<T: Integer> Counter<T> {
    /// Makes a counter on `comm`, from 0 in steps of 1, whose root is rank 0. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
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
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C) -> Result<Self, CreateError> {
        Self::builder(comm).build()
    }

    /// Begins to make a counter on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> SyncBuilder<'_, CounterOf<T>, C> {
        let (start, step) = (T::ZERO, T::ONE);
        SyncBuilder::new(comm, CounterOf { start, step })
    }
}

impl<T: Integer, C: IntraCommunicator> SyncBuilder<'_, CounterOf<T>, C> {
    /// Sets the first number. Defaults to 0. Must be the same on all ranks.
    pub fn start(mut self, start: T) -> Self {
        self.spec.start = start;
        self
    }

    /// Sets the difference between one number and the next. It may be negative, but not 0. Defaults
    /// to 1. Must be the same on all ranks.
    pub fn step(mut self, step: T) -> Self {
        self.spec.step = step;
        self
    }
}

impl<T: Serialize + DeserializeOwned> OnceShared<T> {
    /// Makes a shared value on `comm`, with memory for 64 KiB, whose root is rank 0. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let token = OnceShared::<String>::new(&universe.world())?;
    /// // One rank asks the service. The others get the token from that rank.
    /// let token = token.get_or_init(|| "…".to_owned());
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C) -> Result<Self, CreateError> {
        Self::builder(comm).build()
    }

    /// Begins to make a shared value on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> SyncBuilder<'_, OnceOf<T>, C> {
        SyncBuilder::new(comm, OnceOf::default())
    }
}

impl<T, C: IntraCommunicator> SyncBuilder<'_, OnceOf<T>, C> {
    /// Sets the size in bytes of the memory for the serialized value, on the root's node. Defaults
    /// to 64 KiB. Must be the same on all ranks.
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.spec.capacity = bytes;
        self
    }
}

impl Turn {
    /// Makes a turn on `comm`. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let mut turn = Turn::new(&universe.world())?;
    /// turn.each(|rank| println!("rank {rank} prints after rank {}", rank - 1));
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C) -> Result<Self, CreateError> {
        Self::builder(comm).build()
    }

    /// Begins to make a turn on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> SyncBuilder<'_, TurnOf, C> {
        SyncBuilder::new(comm, TurnOf)
    }
}

impl Barrier {
    /// Makes a barrier on `comm`. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    /// use std::time::Duration;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let barrier = Barrier::new(&universe.world())?;
    /// if let Err(error) = barrier.wait_timeout(Duration::from_secs(60)) {
    ///     eprintln!("{error}"); // within 60s the ranks [17, 204] have not come
    /// }
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C) -> Result<Self, CreateError> {
        Self::builder(comm).build()
    }

    /// Begins to make a barrier on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> SyncBuilder<'_, BarrierOf, C> {
        SyncBuilder::new(comm, BarrierOf)
    }
}

impl Latch {
    /// Makes a latch on `comm` that opens when ranks have counted down by `count` in total. Its
    /// root is rank 0. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let world = universe.world();
    /// // Each rank but rank 0 reports once that its part of the input is read.
    /// let loaded = Latch::new(&world, world.size() as u64 - 1)?;
    /// if world.rank() == 0 {
    ///     loaded.wait();
    /// } else {
    ///     loaded.count_down(1).expect("each rank counts down once");
    /// }
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C, count: u64) -> Result<Self, CreateError> {
        Self::builder(comm, count).build()
    }

    /// Begins to make a latch on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C, count: u64) -> SyncBuilder<'_, LatchOf, C> {
        SyncBuilder::new(comm, LatchOf { count })
    }
}
