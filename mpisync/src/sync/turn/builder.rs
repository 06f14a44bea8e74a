//! Making one on an MPI communicator.

use super::*;
use crate::error::CreateError;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::shm::layout::AnyLayout;
use crate::sync::builder::{Spec, SyncBuilder, private};

/// A turn to be made.
#[derive(Debug)]
pub struct TurnOf(());

impl Turn {
    /// A turn on `comm`. Collective.
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
        SyncBuilder::new(comm, TurnOf(()))
    }
}

impl Spec for TurnOf {}

impl private::Spec for TurnOf {
    type Made = Turn;
    const KIND: &'static str = "turn";

    fn layout(&self, _: i32) -> AnyLayout {
        AnyLayout::new(TurnLayout)
    }

    fn make(self, object: Object) -> Turn {
        Turn::on(object)
    }
}
