//! An array in a window from `MPI_Win_allocate_shared`: the usual code for the ranks of one host.
//!
//! A barrier holds the writer until no rank reads, and another one the readers until everything is
//! written. Around each, `MPI_Win_sync` orders the loads and stores of the ranks, as MPI requires.
//!
//! MPI chooses the position of the memory within a page. With Open MPI 4.1 it is slightly behind
//! the source's position within its page. Then glibc 2.36 copies large arrays backwards and through
//! the caches, which takes twice as long.

use std::ops::Range;
use std::ptr;

use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::rounds::Array;
use super::{Case, Source};
use crate::memory::Shared;
use crate::team::Team;

/// The items, and a communicator of its own.
pub struct MpiWinShared {
    comm: SimpleCommunicator,
    memory: Shared<f64>,
    case: Case,
    source: Source,
}

impl MpiWinShared {
    /// Makes the window, and opens an epoch that lasts until it is freed. Collective.
    pub fn new(case: Case, team: &Team) -> Self {
        let comm = team.world().duplicate();
        let memory = Shared::several(&comm, case.items());
        // SAFETY: the window lives, and no epoch of it is open.
        unsafe { ffi::MPI_Win_lock_all(0, memory.window()) };
        Self {
            comm,
            memory,
            case,
            source: Source::new(case, team),
        }
    }

    /// A barrier that orders the earlier loads and stores of this rank before the later ones.
    fn meet(&self) {
        self.sync();
        self.comm.barrier();
        self.sync();
    }

    fn sync(&self) {
        // SAFETY: the window lives, and an epoch of it is open.
        unsafe { ffi::MPI_Win_sync(self.memory.window()) };
    }
}

impl Array for MpiWinShared {
    fn write(&mut self, number: u64) {
        self.meet();
        if let Some(items) = self.source.stamped(number) {
            let place = self.case.place(number);
            assert_eq!(items.len(), place.len());
            let target = self.memory.as_ptr();
            // SAFETY: the place is within the array, in which there is room for as many items; no
            // other rank reads or writes them between the two barriers.
            unsafe {
                ptr::copy_nonoverlapping(items.as_ptr(), target.add(place.start), items.len())
            };
        }
        self.meet();
    }

    fn ends(&self, place: Range<usize>) -> Option<[f64; 2]> {
        let items = self.memory.as_ptr();
        // SAFETY: the place is within the array, and nobody writes before all ranks have called
        // `write` again.
        let item = |index| unsafe { items.add(index).read_volatile() };
        Some([item(place.start), item(place.end - 1)])
    }

    fn close(self) {
        // SAFETY: the epoch was opened once.
        unsafe { ffi::MPI_Win_unlock_all(self.memory.window()) };
        self.memory.free();
    }
}
