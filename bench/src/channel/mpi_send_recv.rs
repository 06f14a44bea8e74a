//! `MPI_Send` and `MPI_Recv`: blocking, in standard mode, from and to buffers that were made
//! before.
//!
//! A sender serves its receivers in turn. A receiver with several senders takes from any of them.

use std::ffi::c_int;

use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::{Case, LAST, Link, begin_with, beginning, buffer};
use crate::team::Team;

/// A communicator of its own, and a buffer for a message.
pub struct MpiSendRecv {
    comm: SimpleCommunicator,
    targets: Vec<c_int>,
    /// The index of the next target.
    turn: usize,
    origin: c_int,
    origins: usize,
    message: Vec<u8>,
}

impl MpiSendRecv {
    /// Duplicates the communicator. Collective.
    pub fn new(case: Case, team: &Team) -> Self {
        let origin = match case.origins(team)[..] {
            [one] => one,
            // SAFETY: a constant of MPI.
            _ => unsafe { ffi::RSMPI_ANY_SOURCE },
        };
        Self {
            comm: team.world().duplicate(),
            targets: case.targets(team),
            turn: 0,
            origin,
            origins: case.origins(team).len(),
            message: buffer(case),
        }
    }

    fn send(&mut self, target: c_int, word: u64) {
        begin_with(&mut self.message, word);
        // SAFETY: the buffer has that many bytes; MPI aborts the job on failure.
        unsafe {
            ffi::MPI_Send(
                self.message.as_ptr().cast(),
                self.message.len() as c_int,
                ffi::RSMPI_UINT8_T,
                target,
                0,
                self.comm.as_raw(),
            );
        }
    }
}

impl Link for MpiSendRecv {
    fn put(&mut self, word: u64) {
        let target = self.targets[self.turn];
        self.turn += 1;
        if self.turn == self.targets.len() {
            self.turn = 0;
        }
        self.send(target, word);
    }

    fn take(&mut self) -> u64 {
        // SAFETY: the buffer has that many bytes, and no message is longer; MPI aborts the job on
        // failure.
        unsafe {
            ffi::MPI_Recv(
                self.message.as_mut_ptr().cast(),
                self.message.len() as c_int,
                ffi::RSMPI_UINT8_T,
                self.origin,
                0,
                self.comm.as_raw(),
                ffi::RSMPI_STATUS_IGNORE,
            );
        }
        beginning(&self.message)
    }

    fn end(&mut self) {
        for index in 0..self.targets.len() {
            self.send(self.targets[index], LAST);
        }
    }

    fn ends(&self) -> usize {
        self.origins
    }

    fn close(self) {
        // Dropping the communicator frees it, on every rank alike.
    }
}
