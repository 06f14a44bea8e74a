//! glibc's `pthread_barrier_t` with `PTHREAD_PROCESS_SHARED`, in memory that the ranks share.
//!
//! A waiting rank sleeps in the kernel and makes no MPI progress.

use std::ffi::c_uint;
use std::mem::MaybeUninit;

use libc::{
    PTHREAD_BARRIER_SERIAL_THREAD, PTHREAD_PROCESS_SHARED, pthread_barrier_destroy,
    pthread_barrier_init, pthread_barrier_t, pthread_barrier_wait, pthread_barrierattr_destroy,
    pthread_barrierattr_init, pthread_barrierattr_setpshared,
};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::rounds::Barrier;
use crate::memory::{Object, succeed};

/// A `pthread_barrier_t` of all ranks of one host.
pub struct PthreadBarrier {
    barrier: Object<pthread_barrier_t>,
}

impl PthreadBarrier {
    /// Makes the barrier in memory of rank 0. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        let ranks = world.size() as c_uint;
        let barrier = Object::new(world, |barrier| {
            let mut attributes = MaybeUninit::uninit();
            // SAFETY: the attributes are initialized before they are used; the barrier's memory is
            // zeroed and no other rank uses it yet.
            unsafe {
                succeed(pthread_barrierattr_init(attributes.as_mut_ptr()));
                succeed(pthread_barrierattr_setpshared(
                    attributes.as_mut_ptr(),
                    PTHREAD_PROCESS_SHARED,
                ));
                succeed(pthread_barrier_init(barrier, attributes.as_ptr(), ranks));
                succeed(pthread_barrierattr_destroy(attributes.as_mut_ptr()));
            }
        });
        Self { barrier }
    }
}

impl Barrier for PthreadBarrier {
    fn wait(&mut self) {
        // SAFETY: the barrier is initialized.
        let outcome = unsafe { pthread_barrier_wait(self.barrier.as_ptr()) };
        assert!(matches!(outcome, 0 | PTHREAD_BARRIER_SERIAL_THREAD));
    }

    fn close(self) {
        // SAFETY: no rank uses the barrier any more.
        self.barrier
            .close(|barrier| succeed(unsafe { pthread_barrier_destroy(barrier) }));
    }
}
