//! `MPI_Bcast` from and into private arrays: how plain MPI gives an array to all ranks, with one
//! copy per rank.
//!
//! No rank waits for the others, so the root may be some calls ahead if there are few items.

use std::ops::Range;

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::rounds::Array;
use super::{Case, ends, items, stamp};
use crate::team::Team;

/// A communicator of its own, and this rank's array.
pub struct MpiBcast {
    comm: SimpleCommunicator,
    root: i32,
    case: Case,
    items: Vec<f64>,
}

impl MpiBcast {
    /// Duplicates the communicator. Collective.
    pub fn new(case: Case, team: &Team) -> Self {
        Self {
            comm: team.world().duplicate(),
            root: case.worker(team),
            case,
            items: items(case.items()),
        }
    }
}

impl Array for MpiBcast {
    fn write(&mut self, number: u64) {
        let items = &mut self.items[self.case.place(number)];
        if self.comm.rank() == self.root {
            stamp(items, number);
        }
        self.comm.process_at_rank(self.root).broadcast_into(items);
    }

    fn ends(&self, place: Range<usize>) -> Option<[f64; 2]> {
        Some(ends(&self.items, place))
    }

    fn close(self) {
        // Dropping the communicator frees it, on every rank alike.
    }
}
