//! glibc's `sem_t`, shared between processes, in memory that the ranks share.
//!
//! A waiting rank sleeps in the kernel and makes no MPI progress. Waiters are served in no
//! particular order.

use std::io::{Error, ErrorKind};

use libc::{sem_destroy, sem_init, sem_post, sem_t, sem_wait};
use mpi::topology::SimpleCommunicator;

use super::rounds::Exclusive;
use crate::memory::{Object, succeed};

/// A `sem_t` of all ranks of one host, with one permit.
pub struct PosixSemaphore {
    semaphore: Object<sem_t>,
}

impl PosixSemaphore {
    /// Makes the semaphore in memory of rank 0. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        let semaphore = Object::new(world, |semaphore| {
            // SAFETY: there is memory for it, which no other rank uses yet.
            succeed(unsafe { sem_init(semaphore, 1, 1) });
        });
        Self { semaphore }
    }
}

impl Exclusive for PosixSemaphore {
    fn hold(&mut self, section: impl FnOnce()) {
        // SAFETY: the semaphore is initialized.
        while unsafe { sem_wait(self.semaphore.as_ptr()) } != 0 {
            // A signal wakes it too.
            assert_eq!(Error::last_os_error().kind(), ErrorKind::Interrupted);
        }
        section();
        // SAFETY: the semaphore is initialized.
        succeed(unsafe { sem_post(self.semaphore.as_ptr()) });
    }

    fn close(self) {
        // SAFETY: no rank uses the semaphore any more.
        self.semaphore
            .close(|semaphore| succeed(unsafe { sem_destroy(semaphore) }));
    }
}
