//! The communicators that objects can be made on.

use mpi::topology::{CartesianCommunicator, SimpleCommunicator};
use mpi::traits::Communicator;

/// An intra-communicator: a communicator of one group of ranks, on which objects are made.
///
/// An inter-communicator joins two groups, such as those of a program and of one that it has
/// spawned. The ranks of one group cannot share an object with the other through it. Merge it
/// first: [`InterCommunicator::merge`](mpi::topology::InterCommunicator::merge) gives a
/// communicator of all ranks.
///
/// ```compile_fail,E0277
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// if let Some(parent) = universe.world().parent() {
///     // Instead: `mpisync::sync(&parent.merge(MergeOrder::High))`, with `Low` in the program that has spawned this one.
///     let ctrl = mpisync::sync(&parent);
/// }
/// ```
///
/// A generic function asks for `C: IntraCommunicator` where it would ask for `C: Communicator`. The
/// trait is sealed.
///
/// ```no_run
/// use mpisync::prelude::*;
/// use mpisync::IntraCommunicator;
///
/// fn licence<C: IntraCommunicator>(comm: &C) -> Result<Semaphore, mpisync::CreateError> {
///     Semaphore::builder(comm, 4).name("licence").build()
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "objects cannot be made on `{Self}`",
    label = "not a communicator of one group of ranks",
    note = "an `InterCommunicator` joins two groups of ranks: make the object on what its `merge` returns",
    note = "a generic function asks for `C: mpisync::IntraCommunicator` instead of `C: Communicator`"
)]
pub trait IntraCommunicator: Communicator + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for SimpleCommunicator {}
impl IntraCommunicator for SimpleCommunicator {}

impl sealed::Sealed for CartesianCommunicator {}
impl IntraCommunicator for CartesianCommunicator {}
