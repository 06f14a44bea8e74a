//! mpisync: a batch, used as in a program.

use ::mpisync::Batch;
use mpi::topology::SimpleCommunicator;

use super::Case;
use super::folders::Folders;
use super::passes::Tasks;

/// The batch of one round.
pub struct Mpisync<'a> {
    case: Case,
    world: &'a SimpleCommunicator,
    batch: Option<Batch>,
}

impl<'a> Mpisync<'a> {
    /// Without a batch.
    pub fn new(case: Case, world: &'a SimpleCommunicator) -> Self {
        Self {
            case,
            world,
            batch: None,
        }
    }

    fn batch(&mut self) -> &mut Batch {
        self.batch.as_mut().expect("it was made")
    }
}

impl Tasks for Mpisync<'_> {
    fn make(&mut self, folders: Option<&Folders>) {
        let mut builder = Batch::builder(self.world)
            .tasks(self.case.tasks())
            .worker_size(self.case.worker_size());
        if let (Some(folders), Some(durable)) = (folders, self.case.durable()) {
            builder = builder.state_dir(folders.root()).durable(durable);
        }
        self.batch = Some(builder.build().expect("a batch of all ranks can be made"));
    }

    fn run(&mut self) -> u64 {
        let batch = self.batch();
        let mut taken = 0;
        while let Some(task) = batch.next_task().expect("tasks can be taken") {
            taken += 1;
            task.done().expect("a task can be done");
        }
        taken
    }

    fn done(&mut self) -> u64 {
        let summary = self.batch().summary();
        summary.expect("the batch is there").done
    }

    fn discard(&mut self) {
        if let Some(batch) = self.batch.take() {
            batch.close().expect("all ranks close the batch");
        }
    }
}
