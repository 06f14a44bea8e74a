//! Making counters on MPI communicators.

use crate::error::CreateError;
use crate::object::Object;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::shm::layout::AnyLayout;
use crate::sync::builder::{Spec, SyncBuilder, private};
use crate::sync::counter::memory::CounterLayout;
use crate::sync::counter::{Counter, Integer};
use std::any::type_name;

/// A counter to be made.
#[derive(Debug)]
pub struct CounterOf<T> {
    start: T,
    step: T,
}

impl<T: Integer> Counter<T> {
    /// A counter on `comm` from 0 in steps of 1, whose root is rank 0. Collective.
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
    /// The first number. Defaults to 0. Must be the same on all ranks.
    pub fn start(mut self, start: T) -> Self {
        self.spec.start = start;
        self
    }

    /// What it counts up by, which may be negative, but not 0. Defaults to 1. Must be the same on
    /// all ranks.
    pub fn step(mut self, step: T) -> Self {
        self.spec.step = step;
        self
    }
}

impl<T: Integer> Spec for CounterOf<T> {}

impl<T: Integer> private::Spec for CounterOf<T> {
    type Made = Counter<T>;
    const KIND: &'static str = "counter";

    fn arguments(&self) -> Vec<(&'static str, String)> {
        vec![
            ("type of numbers", type_name::<T>().to_owned()),
            ("start", self.start.to_string()),
            ("step", self.step.to_string()),
        ]
    }

    fn invalid(&self) -> Option<CreateError> {
        (self.step == T::ZERO).then_some(CreateError::ZeroStep)
    }

    fn layout(&self, _: i32) -> AnyLayout {
        AnyLayout::new(CounterLayout)
    }

    fn make(self, object: Object) -> Counter<T> {
        Counter::on(object, self.start, self.step)
    }
}
