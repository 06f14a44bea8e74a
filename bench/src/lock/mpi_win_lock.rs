//! `MPI_Win_lock` and `MPI_Win_unlock` on a window at rank 0: MPI's own lock.
//!
//! The window is from `MPI_Win_allocate`, which leaves the choice of memory to MPI and works with
//! ranks on any number of hosts. (One from `MPI_Win_allocate_shared` works on one host only; some
//! libraries lock it faster.) A rank 0 that works alone locks its own window, which is the best
//! case.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use mpi::ffi::{self, MPI_LOCK_EXCLUSIVE, MPI_LOCK_SHARED};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::{Case, Lock, lock_round};
use crate::memory::Info;
use crate::team::Team;
use crate::turns::Subject;

/// The target rank of every lock.
const HOME: c_int = 0;

/// A window with 8 bytes at rank 0, used for its lock only.
pub struct MpiWinLock {
    window: ffi::MPI_Win,
}

impl MpiWinLock {
    /// Makes the window. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        let size = if world.rank() == HOME {
            size_of::<u64>()
        } else {
            0
        };
        let mut base: *mut c_void = std::ptr::null_mut();
        let mut window = MaybeUninit::uninit();
        let info = Info::new();
        // SAFETY: every pointer is to a local of the type that MPI writes; MPI aborts the job on
        // failure.
        let window = unsafe {
            ffi::MPI_Win_allocate(
                size as ffi::MPI_Aint,
                1,
                info.0,
                world.as_raw(),
                (&raw mut base).cast(),
                window.as_mut_ptr(),
            );
            window.assume_init()
        };
        Self { window }
    }

    fn under(&self, kind: u32, body: impl FnOnce()) {
        // SAFETY: the window lives, and no epoch of it is open on this rank.
        unsafe { ffi::MPI_Win_lock(kind as c_int, HOME, 0, self.window) };
        body();
        // SAFETY: this closes the epoch that was opened above.
        unsafe { ffi::MPI_Win_unlock(HOME, self.window) };
    }
}

impl Lock for MpiWinLock {
    fn read(&mut self, body: impl FnOnce()) {
        self.under(MPI_LOCK_SHARED, body);
    }

    fn write(&mut self, body: impl FnOnce()) {
        self.under(MPI_LOCK_EXCLUSIVE, body);
    }
}

impl Subject<Case> for MpiWinLock {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        lock_round(self, case, team)
    }

    fn close(mut self: Box<Self>) {
        // SAFETY: the window came from MPI_Win_allocate and is freed once.
        unsafe { ffi::MPI_Win_free(&mut self.window) };
    }
}
