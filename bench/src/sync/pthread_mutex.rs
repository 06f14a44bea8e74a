//! glibc's `pthread_mutex_t` with `PTHREAD_PROCESS_SHARED`, in memory that the ranks share.
//!
//! A waiting rank sleeps in the kernel and makes no MPI progress. Waiters are served in no
//! particular order.

use std::mem::MaybeUninit;

use libc::{
    PTHREAD_PROCESS_SHARED, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_t, pthread_mutex_unlock, pthread_mutexattr_destroy, pthread_mutexattr_init,
    pthread_mutexattr_setpshared,
};
use mpi::topology::SimpleCommunicator;

use super::rounds::Exclusive;
use crate::memory::{Object, succeed};

/// A `pthread_mutex_t` of all ranks of one host.
pub struct PthreadMutex {
    mutex: Object<pthread_mutex_t>,
}

impl PthreadMutex {
    /// Makes the mutex in memory of rank 0. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        let mutex = Object::new(world, |mutex| {
            let mut attributes = MaybeUninit::uninit();
            // SAFETY: the attributes are initialized before they are used; the mutex's memory is
            // zeroed and no other rank uses it yet.
            unsafe {
                succeed(pthread_mutexattr_init(attributes.as_mut_ptr()));
                succeed(pthread_mutexattr_setpshared(
                    attributes.as_mut_ptr(),
                    PTHREAD_PROCESS_SHARED,
                ));
                succeed(pthread_mutex_init(mutex, attributes.as_ptr()));
                succeed(pthread_mutexattr_destroy(attributes.as_mut_ptr()));
            }
        });
        Self { mutex }
    }
}

impl Exclusive for PthreadMutex {
    fn hold(&mut self, section: impl FnOnce()) {
        // SAFETY: the mutex is initialized.
        succeed(unsafe { pthread_mutex_lock(self.mutex.as_ptr()) });
        section();
        // SAFETY: the mutex is initialized and this rank holds it.
        succeed(unsafe { pthread_mutex_unlock(self.mutex.as_ptr()) });
    }

    fn close(self) {
        // SAFETY: no rank uses the mutex any more.
        self.mutex
            .close(|mutex| succeed(unsafe { pthread_mutex_destroy(mutex) }));
    }
}
