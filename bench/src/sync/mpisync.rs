//! mpisync: objects of all ranks, used as in a program.

use ::mpisync::{Barrier, Counter, Mutex, Semaphore, Turn};
use mpi::topology::SimpleCommunicator;

use super::rounds;

/// A mutex. Collective.
pub fn mutex(world: &SimpleCommunicator) -> Mutex {
    Mutex::new(world).expect("a mutex of all ranks can be made")
}

/// A semaphore with one permit. Collective.
pub fn semaphore(world: &SimpleCommunicator) -> Semaphore {
    Semaphore::new(world, 1).expect("a semaphore of all ranks can be made")
}

/// A counter whose root is rank 0. Collective.
pub fn counter(world: &SimpleCommunicator) -> Counter<u64> {
    let counter = Counter::builder(world).start(1).build();
    counter.expect("a counter of all ranks can be made")
}

/// Turns in the order of the ranks. Collective.
pub fn turn(world: &SimpleCommunicator) -> Turn {
    Turn::new(world).expect("turns of all ranks can be made")
}

/// A barrier. Collective.
pub fn barrier(world: &SimpleCommunicator) -> Barrier {
    Barrier::new(world).expect("a barrier of all ranks can be made")
}

impl rounds::Exclusive for Mutex {
    fn hold(&mut self, section: impl FnOnce()) {
        let _guard = self.lock();
        section();
    }

    fn close(self) {
        Mutex::close(self).expect("all ranks close the mutex");
    }
}

impl rounds::Exclusive for Semaphore {
    fn hold(&mut self, section: impl FnOnce()) {
        let _permit = self.acquire();
        section();
    }

    fn close(self) {
        Semaphore::close(self).expect("all ranks close the semaphore");
    }
}

impl rounds::Counter for Counter<u64> {
    fn next(&mut self) -> u64 {
        Counter::next(self)
    }

    fn close(self) {
        Counter::close(self).expect("all ranks close the counter");
    }
}

impl rounds::Turns for Turn {
    fn take(&mut self, section: impl FnOnce()) {
        let _guard = Turn::take(self);
        section();
    }

    fn close(self) {
        Turn::close(self).expect("all ranks close the turns");
    }
}

impl rounds::Barrier for Barrier {
    fn wait(&mut self) {
        Barrier::wait(self);
    }

    fn close(self) {
        Barrier::close(self).expect("all ranks close the barrier");
    }
}
