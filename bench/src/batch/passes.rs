//! How subjects go through all tasks once, and what is checked after it.

use std::path::Path;

use mpi::traits::*;

use super::Case;
use super::folders::Folders;
use crate::clock;
use crate::team::Team;
use crate::turns::Subject;

/// Tasks that the ranks share, in which there is nothing to do.
pub(super) trait Tasks {
    /// Makes them, all open. Collective.
    fn make(&mut self, folders: Option<&Folders>);

    /// Takes tasks, each of which is done at once, until none is open; how many.
    fn run(&mut self) -> u64;

    /// How many are done, when no rank takes any more. One rank is asked.
    fn done(&mut self) -> u64;

    /// Gives them back. Collective.
    fn discard(&mut self);
}

/// Tasks that are made anew for each round, which is over when no task is left.
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
            // What making them has left for the disk is not what is measured.
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
