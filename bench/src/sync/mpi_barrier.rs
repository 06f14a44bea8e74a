//! `MPI_Barrier`, on a communicator of its own.

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::rounds::Barrier;

/// A communicator of its own.
pub struct MpiBarrier {
    comm: SimpleCommunicator,
}

impl MpiBarrier {
    /// Duplicates `world`. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        Self {
            comm: world.duplicate(),
        }
    }
}

impl Barrier for MpiBarrier {
    fn wait(&mut self) {
        self.comm.barrier();
    }

    fn close(self) {
        // Dropping the communicator frees it, on every rank alike.
    }
}
