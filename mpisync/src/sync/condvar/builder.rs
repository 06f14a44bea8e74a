//! Making one on an MPI communicator.

use super::*;
use crate::error::CreateError;
use crate::object::Object;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::shm::layout::AnyLayout;
use crate::sync::builder::{Spec, SyncBuilder, private};
use crate::wait_queue::memory::WaitLayout;

/// A condition to be made.
#[derive(Debug)]
pub struct CondvarOf(());

impl Condvar {
    /// A condition on `comm`, whose root is rank 0. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C) -> Result<Self, CreateError> {
        Self::builder(comm).build()
    }

    /// Begins to make a condition on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> SyncBuilder<'_, CondvarOf, C> {
        SyncBuilder::new(comm, CondvarOf(()))
    }
}

impl Spec for CondvarOf {}

impl CondvarOf {
    fn wait_layout(&self, root: i32) -> WaitLayout {
        WaitLayout {
            root,
            permits: 0,
            on_death: OnDeath::Release,
            cargo: Cargo::Nothing,
        }
    }
}

impl private::Spec for CondvarOf {
    type Made = Condvar;
    const KIND: &'static str = "condition";

    fn layout(&self, root: i32) -> AnyLayout {
        AnyLayout::new(self.wait_layout(root))
    }

    fn make(self, object: Object) -> Condvar {
        let layout = self.wait_layout(object.root());
        Condvar {
            base: Base::new(object, &layout),
        }
    }
}
