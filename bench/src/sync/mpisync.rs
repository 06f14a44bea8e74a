//! mpisync: a counter of all ranks, used as its users do.

use mpi::topology::SimpleCommunicator;

use super::Counter;

/// A counter whose root is rank 0.
pub struct Mpisync {
    counter: ::mpisync::Counter<u64>,
}

impl Mpisync {
    /// Makes the counter. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        let counter = ::mpisync::Counter::builder(world).start(1).build();
        let counter = counter.expect("a counter of all ranks can be made");
        Self { counter }
    }
}

impl Counter for Mpisync {
    fn next(&mut self) -> u64 {
        self.counter.next()
    }

    fn close(self) {
        self.counter.close().expect("all ranks close the counter");
    }
}
