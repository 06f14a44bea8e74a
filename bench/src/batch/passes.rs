//! How a subject takes all tasks once, and the checks afterwards.

use std::path::Path;

use mpi::traits::*;

use super::Case;
use super::folders::Folders;
use crate::clock;
use crate::team::Team;
use crate::turns::Subject;

/// Empty tasks that the ranks share.
pub(super) trait Tasks {
    /// Makes them, all open. Collective.
    fn make(&mut self, folders: Option<&Folders>);

    /// Takes tasks, and ends each as done at once, until none is open. Returns their number.
    fn run(&mut self) -> u64;

    /// The number of tasks that are done, after all ranks have stopped. Called on one rank.
    fn done(&mut self) -> u64;

    /// Frees them. Collective.
    fn discard(&mut self);
}

/// Makes new tasks for each round; a round ends when no task is left.
pub(super) struct Passing<'a, T> {
    tasks: T,
    parent: &'a Path,
}

impl<'a, T> Passing<'a, T> {
    pub(super) fn new(tasks: T, parent: &'a Path) -> Self {
        Self { tasks, parent }
    }
}

impl<T: Tasks> Subject<Case> for Passing<'_, T> {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        let folders = case.durable().map(|_| Folders::new(self.parent, team));
        self.tasks.make(folders.as_ref());
        if let Some(folders) = &folders {
            // The changes that making the tasks left for the disk are not measured.
            folders.settle(team);
        }
        team.world().barrier();
        let begin = clock::now();
        let taken = self.tasks.run();
        let end = clock::now();
        let nanos = team.max(end) - team.min(begin);
        check(&mut self.tasks, case, taken, team);
        self.tasks.discard();
        if let Some(folders) = folders {
            folders.remove(team);
        }
        nanos as f64 / case.tasks() as f64
    }

    fn close(self: Box<Self>) {}
}

/// Checks that each task was run once: all are done, and no more were taken than there are.
fn check(tasks: &mut impl Tasks, case: Case, taken: u64, team: &Team) {
    let expected = case.tasks() as u64;
    let taken = team.sum(taken);
    let runs = expected * case.worker_size() as u64;
    assert_eq!(taken, runs, "tasks were lost, or given twice");
    if team.rank() == 0 {
        assert_eq!(tasks.done(), expected, "tasks are not done");
    }
    team.world().barrier();
}
