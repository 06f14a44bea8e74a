//! Making one on an MPI communicator.

use super::*;
use crate::error::CreateError;
use crate::object::Object;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::shm::layout::AnyLayout;
use crate::sync::builder::{Spec, SyncBuilder, private};
use crate::wait_queue::memory::WaitLayout;

/// A semaphore to be made.
#[derive(Debug)]
pub struct SemaphoreOf {
    permits: u32,
    is_bounded: bool,
}

impl Semaphore {
    /// A semaphore on `comm` with so many permits and no more, whose root is rank 0. Collective.
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
    /// // Three ranks at most ask the service at the same time.
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
        let is_bounded = true;
        SyncBuilder::new(
            comm,
            SemaphoreOf {
                permits,
                is_bounded,
            },
        )
    }
}

impl<C: IntraCommunicator> SyncBuilder<'_, SemaphoreOf, C> {
    /// More permits can be [released](Semaphore::release) than there were. Defaults to bounded.
    /// Must be the same on all ranks.
    pub fn unbounded(mut self) -> Self {
        self.spec.is_bounded = false;
        self
    }
}

impl Spec for SemaphoreOf {}

impl SemaphoreOf {
    fn wait_layout(&self, root: i32) -> WaitLayout {
        WaitLayout {
            root,
            permits: self.permits,
            on_death: OnDeath::Release,
            cargo: Cargo::Nothing,
        }
    }
}

impl private::Spec for SemaphoreOf {
    type Made = Semaphore;
    const KIND: &'static str = "semaphore";

    fn arguments(&self) -> Vec<(&'static str, String)> {
        vec![
            ("number of permits", self.permits.to_string()),
            ("bound", self.is_bounded.to_string()),
        ]
    }

    fn invalid(&self) -> Option<CreateError> {
        let least = u32::from(self.is_bounded);
        let can_be = (least..=MOST_PERMITS).contains(&self.permits);
        (!can_be).then_some(CreateError::Permits {
            permits: self.permits,
            least,
            most: MOST_PERMITS,
        })
    }

    fn layout(&self, root: i32) -> AnyLayout {
        AnyLayout::new(self.wait_layout(root))
    }

    fn make(self, object: Object) -> Semaphore {
        let layout = self.wait_layout(object.root());
        Semaphore {
            base: Base::new(object, &layout),
            bound: self.is_bounded.then_some(self.permits),
        }
    }
}
