//! Making one on an MPI communicator.

use super::*;
use crate::error::CreateError;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::shm::layout::AnyLayout;
use crate::sync::builder::{Spec, SyncBuilder, private};

/// A barrier to be made.
#[derive(Debug)]
pub struct BarrierOf(());

impl Barrier {
    /// A barrier on `comm`. Collective.
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
        SyncBuilder::new(comm, BarrierOf(()))
    }
}

impl Spec for BarrierOf {}

impl private::Spec for BarrierOf {
    type Made = Barrier;
    const KIND: &'static str = "barrier";

    fn layout(&self, _: i32) -> AnyLayout {
        AnyLayout::new(BarrierLayout)
    }

    fn make(self, object: Object) -> Barrier {
        Barrier::on(object)
    }
}
