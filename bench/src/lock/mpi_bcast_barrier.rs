//! `MPI_Bcast` of 8 bytes, then `MPI_Barrier`: how plain MPI sends a value of one rank to all and
//! holds every rank until all have it.

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::{Case, HandOver, hand_over_round};
use crate::team::Team;
use crate::turns::Subject;

/// A communicator of its own.
pub struct MpiBcastBarrier {
    comm: SimpleCommunicator,
}

impl MpiBcastBarrier {
    /// Duplicates `world`. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        Self {
            comm: world.duplicate(),
        }
    }
}

impl HandOver for MpiBcastBarrier {
    fn hand_over(&mut self, mut word: u64) -> u64 {
        self.comm.process_at_rank(0).broadcast_into(&mut word);
        self.comm.barrier();
        word
    }
}

impl Subject<Case> for MpiBcastBarrier {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        assert_eq!(case, Case::SingleWriteShare8);
        hand_over_round(self, team)
    }

    fn close(self: Box<Self>) {
        // Dropping the communicator frees it, on every rank alike.
    }
}
