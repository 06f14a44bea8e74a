//! Making one on an MPI communicator.

use super::*;
use crate::error::CreateError;
use crate::object::Object;
use crate::plain::TypeLayout;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::shm::layout::AnyLayout;
use crate::sync::builder::{Spec, SyncBuilder, private};
use crate::wait_queue::memory::WaitLayout;

/// A mutex to be made.
#[derive(Debug)]
pub struct MutexOf<T> {
    value: T,
}

impl Mutex {
    /// A mutex on `comm`, whose root is rank 0. Collective.
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
    ///     // One rank at a time, in the order in which they came.
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
    /// A mutex on `comm` with a value, the same on all ranks, whose root is rank 0. Collective.
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
    /// The value that it guards, the same on all ranks.
    pub fn value<T: Plain>(self, value: T) -> SyncBuilder<'a, MutexOf<T>, C> {
        const { assert_fits::<T>() }
        self.with_spec(MutexOf { value })
    }
}

impl<T: Plain> Spec for MutexOf<T> {}

impl<T: Plain> MutexOf<T> {
    fn wait_layout(&self, root: i32) -> WaitLayout {
        WaitLayout {
            root,
            permits: 1,
            on_death: OnDeath::Poison,
            cargo: cargo(&self.value),
        }
    }
}

impl<T: Plain> private::Spec for MutexOf<T> {
    type Made = Mutex<T>;
    const KIND: &'static str = "mutex";

    fn arguments(&self) -> Vec<(&'static str, String)> {
        // The bytes themselves, for equal values of a plain type have equal bytes.
        let digits = bytes(&self.value).iter();
        let digits = digits.flat_map(|byte| [byte >> 4, byte & 15]);
        let value = digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
        vec![
            ("type of value", type_name::<T>().to_owned()),
            ("layout of value", TypeLayout::of::<T>().to_string()),
            ("bytes of value", value.collect()),
        ]
    }

    fn layout(&self, root: i32) -> AnyLayout {
        AnyLayout::new(self.wait_layout(root))
    }

    fn make(self, object: Object) -> Mutex<T> {
        let layout = self.wait_layout(object.root());
        Mutex::on(Base::new(object, &layout), self.value)
    }
}
