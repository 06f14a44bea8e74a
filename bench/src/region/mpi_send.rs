//! A row by `MPI_Send` to one other rank, the lowest that is not the worker, which replies with an
//! empty message: the minimum in plain MPI until the worker knows that a row is in another rank's
//! array.

use std::ops::Range;

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::rounds::Array;
use super::{Case, ends, items, stamp};
use crate::clock;
use crate::pace::Laps;
use crate::team::{Span, Team};

/// A communicator of its own, and this rank's array.
pub struct MpiSend {
    comm: SimpleCommunicator,
    worker: i32,
    /// The receiver of the rows.
    partner: i32,
    case: Case,
    items: Vec<f64>,
}

impl MpiSend {
    /// Duplicates the communicator. Collective.
    pub fn new(case: Case, team: &Team) -> Self {
        let worker = case.worker(team);
        Self {
            comm: team.world().duplicate(),
            worker,
            partner: i32::from(worker == 0),
            case,
            items: items(case.items()),
        }
    }
}

impl Array for MpiSend {
    fn write(&mut self, number: u64) {
        let row = &mut self.items[self.case.place(number)];
        stamp(row, number);
        let partner = self.comm.process_at_rank(self.partner);
        partner.send(&*row);
        partner.receive_into::<[f64]>(&mut []);
    }

    fn ends(&self, place: Range<usize>) -> Option<[f64; 2]> {
        let has_them = [self.worker, self.partner].contains(&self.comm.rank());
        has_them.then(|| ends(&self.items, place))
    }

    fn attend(&mut self, next: u64, span: Span, team: &Team) -> Laps {
        if team.rank() != self.partner {
            return team.sit_out(span);
        }
        let worker = self.comm.process_at_rank(self.worker);
        for number in next.. {
            let row = &mut self.items[self.case.place(number)];
            let status = worker.receive_into(row);
            if status.count(f64::equivalent_datatype()) == 0 {
                break;
            }
            assert_eq!(row[0], number as f64, "a row out of order");
            worker.send::<[f64]>(&[]);
        }
        Laps {
            operations: 0,
            end: clock::now(),
        }
    }

    fn end(&mut self) {
        // No row is empty.
        self.comm.process_at_rank(self.partner).send::<[f64]>(&[]);
    }

    fn close(self) {
        // Dropping the communicator frees it, on every rank alike.
    }
}
