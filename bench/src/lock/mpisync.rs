//! mpisync: a controller over all ranks, used as in a program.

use ::mpisync::{Access, WindowController};
use mpi::topology::SimpleCommunicator;

use super::{Case, HandOver, Lock, MOST_THREADS, hand_over_round, lock_round, threads_round};
use crate::team::Team;
use crate::turns::Subject;

/// Controllers whose master is rank 0.
pub struct Mpisync {
    controller: WindowController,
    for_threads: WindowController,
}

impl Mpisync {
    /// Makes the controllers. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        let controller = ::mpisync::sync(world).expect("a controller of all ranks can be made");
        let for_threads = WindowController::builder(world)
            .threads(MOST_THREADS)
            .build();
        Self {
            controller,
            for_threads: for_threads.expect("a controller of all ranks can be made"),
        }
    }
}

impl Lock for Mpisync {
    const NEEDS_ALL: bool = false;

    fn read(&mut self, body: impl FnOnce()) {
        let _guard = self.controller.read();
        body();
    }

    fn write(&mut self, body: impl FnOnce()) {
        let _guard = self.controller.write();
        body();
    }
}

impl HandOver for Mpisync {
    fn hand_over(&mut self, word: u64) -> u64 {
        match self.controller.single_write() {
            Access::Writer(fence) => fence.share(word),
            Access::Excluded(fence) => fence.collect(),
        }
        .expect("rank 0 shares a word")
    }
}

impl Subject<Case> for Mpisync {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        if let Some(threads) = case.threads() {
            let shared = self.for_threads.shared().expect("MPI has threads");
            return threads_round(threads, team, || drop(shared.read()));
        }
        match case {
            Case::SingleWriteShare8 => hand_over_round(self, team),
            _ => lock_round(self, case, team),
        }
    }

    fn close(self: Box<Self>) {
        for controller in [self.controller, self.for_threads] {
            controller.close().expect("all ranks close the controller");
        }
    }
}
