//! `MPI_Fetch_and_op` and a flush, to a word of rank 0.

use mpi::ffi;
use mpi::topology::SimpleCommunicator;

use super::rounds::Counter;
use crate::window::Window;

/// One word at rank 0.
pub struct MpiFetchAndOp {
    window: Window<1>,
    sum: ffi::MPI_Op,
}

impl MpiFetchAndOp {
    /// Makes the window. Collective.
    pub fn new(world: &SimpleCommunicator, hosts: usize) -> Self {
        Self {
            window: Window::new(world, hosts),
            // SAFETY: the handle of a predefined operation.
            sum: unsafe { ffi::RSMPI_SUM },
        }
    }
}

impl Counter for MpiFetchAndOp {
    fn next(&mut self) -> u64 {
        self.window.fetch(0, 0, 1, self.sum) as u64 + 1
    }

    fn close(self) {
        self.window.free();
    }
}
