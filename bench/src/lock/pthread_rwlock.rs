//! glibc's `pthread_rwlock_t` with `PTHREAD_PROCESS_SHARED`, in memory that the ranks share.
//!
//! A program can use it if all its ranks are on one host. It has glibc's default preference, which
//! is for readers. A waiting rank sleeps in the kernel and makes no MPI progress.

use std::mem::MaybeUninit;

use libc::{
    PTHREAD_PROCESS_SHARED, pthread_rwlock_destroy, pthread_rwlock_init, pthread_rwlock_rdlock,
    pthread_rwlock_t, pthread_rwlock_unlock, pthread_rwlock_wrlock, pthread_rwlockattr_destroy,
    pthread_rwlockattr_init, pthread_rwlockattr_setpshared,
};
use mpi::topology::SimpleCommunicator;

use super::{Case, Lock, lock_round, threads_round};
use crate::memory::{Object, succeed};
use crate::team::Team;
use crate::turns::Subject;

/// A `pthread_rwlock_t` of all ranks of one host.
pub struct PthreadRwlock {
    lock: Object<pthread_rwlock_t>,
}

impl PthreadRwlock {
    /// Makes the lock in memory of rank 0. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        let lock = Object::new(world, |lock| {
            let mut attributes = MaybeUninit::uninit();
            // SAFETY: the attributes are initialized before they are used; the lock's memory is
            // zeroed and no other rank uses it yet.
            unsafe {
                succeed(pthread_rwlockattr_init(attributes.as_mut_ptr()));
                succeed(pthread_rwlockattr_setpshared(
                    attributes.as_mut_ptr(),
                    PTHREAD_PROCESS_SHARED,
                ));
                succeed(pthread_rwlock_init(lock, attributes.as_ptr()));
                succeed(pthread_rwlockattr_destroy(attributes.as_mut_ptr()));
            }
        });
        Self { lock }
    }

    fn unlock(&self) {
        // SAFETY: the lock is initialized and this rank holds it: called from `read` and `write`
        // only.
        succeed(unsafe { pthread_rwlock_unlock(self.lock.as_ptr()) });
    }
}

impl Lock for PthreadRwlock {
    const NEEDS_ALL: bool = false;

    fn read(&mut self, body: impl FnOnce()) {
        // SAFETY: the lock is initialized.
        succeed(unsafe { pthread_rwlock_rdlock(self.lock.as_ptr()) });
        body();
        self.unlock();
    }

    fn write(&mut self, body: impl FnOnce()) {
        // SAFETY: the lock is initialized.
        succeed(unsafe { pthread_rwlock_wrlock(self.lock.as_ptr()) });
        body();
        self.unlock();
    }
}

/// The lock, for the threads of this rank.
struct ForThreads(*mut pthread_rwlock_t);

// SAFETY: any thread may take a lock of pthreads.
unsafe impl Sync for ForThreads {}

impl ForThreads {
    /// Takes the lock for reading, and releases it.
    fn read(&self) {
        // SAFETY: the lock is initialized, and this thread holds it when it releases it.
        unsafe {
            succeed(pthread_rwlock_rdlock(self.0));
            succeed(pthread_rwlock_unlock(self.0));
        }
    }
}

impl Subject<Case> for PthreadRwlock {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        let Some(threads) = case.threads() else {
            return lock_round(self, case, team);
        };
        let lock = ForThreads(self.lock.as_ptr());
        threads_round(threads, team, || lock.read())
    }

    fn close(self: Box<Self>) {
        // SAFETY: no rank uses the lock any more.
        self.lock
            .close(|lock| succeed(unsafe { pthread_rwlock_destroy(lock) }));
    }
}
