//! mpisync: a controller over all ranks, whose locks are futures.

use ::mpisync::WindowController;
use futures::executor::block_on;
use mpi::topology::SimpleCommunicator;

use super::{Case, Lock, lock_round};
use crate::team::Team;
use crate::turns::Subject;

/// A controller whose master is rank 0.
pub struct MpisyncAsync {
    controller: WindowController,
}

impl MpisyncAsync {
    /// Makes the controller. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        let controller = ::mpisync::sync(world).expect("a controller of all ranks can be made");
        Self { controller }
    }
}

impl Lock for MpisyncAsync {
    const NEEDS_ALL: bool = false;

    fn read(&mut self, body: impl FnOnce()) {
        let _guard = block_on(self.controller.read_async()).expect("no rank dies");
        body();
    }

    fn write(&mut self, body: impl FnOnce()) {
        let _guard = block_on(self.controller.write_async()).expect("no rank dies");
        body();
    }
}

impl Subject<Case> for MpisyncAsync {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        lock_round(self, case, team)
    }

    fn close(self: Box<Self>) {
        self.controller
            .close()
            .expect("all ranks close the controller");
    }
}
