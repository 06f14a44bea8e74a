//! Sums over all ranks.

use mpi::{collective::SystemOperation, topology::SimpleCommunicator, traits::*};

/// The sum of the values of all ranks. Collective; the same on all ranks.
pub fn sum(world: &SimpleCommunicator, mine: u64) -> u64 {
    let mut all = 0;
    world.all_reduce_into(&mine, &mut all, SystemOperation::sum());
    all
}
