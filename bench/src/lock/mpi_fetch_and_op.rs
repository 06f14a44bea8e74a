//! `MPI_Fetch_and_op` and a flush, to a word of rank 0: the network round trip to which other
//! figures are compared.

use mpi::ffi;
use mpi::topology::SimpleCommunicator;

use super::Case;
use crate::pace::repeat_until;
use crate::team::Team;
use crate::turns::Subject;
use crate::window::{Window, progress};

/// One word at rank 0.
pub struct MpiFetchAndOp {
    window: Window<1>,
}

impl MpiFetchAndOp {
    /// Makes the window. Collective.
    pub fn new(world: &SimpleCommunicator, hosts: usize) -> Self {
        Self {
            window: Window::new(world, hosts),
        }
    }
}

impl Subject<Case> for MpiFetchAndOp {
    fn round(&mut self, _case: Case, team: &Team) -> f64 {
        let span = team.start();
        let laps = if team.is_the_lone_rank() {
            // SAFETY: the handle of a predefined operation.
            let sum = unsafe { ffi::RSMPI_SUM };
            repeat_until(span.end, || {
                self.window.fetch(0, 0, 1, sum);
            })
        } else {
            // If MPI implements the round trip in software, the target has to be inside MPI.
            team.attend(span, || progress(team.world()))
        };
        team.tally(span, laps).nanos_per_operation()
    }

    fn close(self: Box<Self>) {
        self.window.free();
    }
}
