//! The cases and subjects of the batch benchmark.
//!
//! One more subject is a program of its own: `measure_pshmem.py` measures a Python package in the
//! same cases.

pub mod figure;
pub mod file_operations;
pub mod folders;
pub mod mpisync;
mod passes;

use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::team::Team;
use crate::turns::Subject;
use passes::Passing;

/// A case: all ranks take empty tasks until none is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    tasks: usize,
    kind: Kind,
}

/// Where the states of the tasks are kept, and how many ranks run a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// In memory; each rank by itself.
    Memory,
    /// In memory; two ranks together.
    Pairs,
    /// In files that are flushed to the disk at once (`fsync`); each rank by itself.
    Directory,
    /// In files that the kernel writes to the disk later; each rank by itself.
    Nosync,
}

/// The cases, in the order of their measurement.
const CASES: [Case; 14] = [
    Case::of(200, Kind::Memory),
    Case::of(1_000, Kind::Memory),
    Case::of(3_000, Kind::Memory),
    Case::of(10_000, Kind::Memory),
    Case::of(100_000, Kind::Memory),
    Case::of(1_000_000, Kind::Memory),
    Case::of(10_000_000, Kind::Memory),
    Case::of(1_000, Kind::Pairs),
    Case::of(200, Kind::Directory),
    Case::of(1_000, Kind::Directory),
    Case::of(3_000, Kind::Directory),
    Case::of(200, Kind::Nosync),
    Case::of(1_000, Kind::Nosync),
    Case::of(3_000, Kind::Nosync),
];

impl ValueEnum for Case {
    fn value_variants<'a>() -> &'a [Self] {
        &CASES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let kind = match self.kind {
            Kind::Memory => "",
            Kind::Pairs => "_pairs",
            Kind::Directory => "_dir",
            Kind::Nosync => "_dir_nosync",
        };
        Some(PossibleValue::new(format!("tasks_{}{kind}", self.tasks)))
    }
}

impl Case {
    const fn of(tasks: usize, kind: Kind) -> Self {
        Self { tasks, kind }
    }

    /// The number of tasks.
    pub fn tasks(self) -> usize {
        self.tasks
    }

    /// The number of ranks that run a task together.
    pub fn worker_size(self) -> i32 {
        match self.kind {
            Kind::Pairs => 2,
            Kind::Memory | Kind::Directory | Kind::Nosync => 1,
        }
    }

    /// None if the states are in memory. Otherwise whether each change is flushed to the disk at
    /// once.
    pub fn durable(self) -> Option<bool> {
        match self.kind {
            Kind::Memory | Kind::Pairs => None,
            Kind::Directory => Some(true),
            Kind::Nosync => Some(false),
        }
    }

    /// The number of rounds to measure if `asked` are requested and [time](Self::limit) permits.
    /// Cases that take microseconds get more.
    pub fn rounds(self, asked: u32) -> u32 {
        let more = match (self.durable(), self.tasks) {
            (None, 0..1_000) => 20,
            (None, 1_000..10_000) => 6,
            _ => 1,
        };
        asked.saturating_mul(more)
    }

    /// The time after which no further round begins.
    pub fn limit(self) -> Duration {
        match self.durable() {
            Some(_) => Duration::from_secs(15),
            None => Duration::from_secs(10),
        }
    }
}

/// A subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    /// This project.
    Mpisync,
    /// The file operations of mpisync, without mpisync.
    FileOperations,
    /// The Python package `pshmem`, in a program of its own.
    Pshmem,
}

impl Name {
    /// Whether this program can measure it.
    pub fn is_here(self) -> bool {
        self != Name::Pshmem
    }

    /// Whether the subject takes part in a case with this number of ranks and hosts.
    pub fn is_fit(self, case: Case, ranks: i32, hosts: usize) -> bool {
        let has_workers = ranks % case.worker_size() == 0;
        match self {
            Name::Mpisync => has_workers,
            Name::FileOperations => case.durable().is_some() && hosts == 1,
            Name::Pshmem => has_workers && case.tasks <= 3_000 && hosts == 1,
        }
    }

    /// Makes the subject for a case. State directories are made in `parent`. Collective.
    ///
    /// # Panics
    /// If this program [cannot measure it](Self::is_here), or it does not [fit](Self::is_fit) the
    /// case.
    pub fn make<'a>(
        self,
        case: Case,
        parent: &'a Path,
        team: &'a Team,
    ) -> Box<dyn Subject<Case> + 'a> {
        match self {
            Name::Mpisync => Box::new(Passing::new(
                mpisync::Mpisync::new(case, team.world()),
                parent,
            )),
            Name::FileOperations => Box::new(Passing::new(
                file_operations::FileOperations::new(case, team.world()),
                parent,
            )),
            Name::Pshmem => panic!("a program of its own measures it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::spelling;

    /// The cases that a subject takes part in.
    fn fit(name: Name, ranks: i32, hosts: usize) -> Vec<String> {
        let cases = CASES.into_iter();
        cases
            .filter(|&case| name.is_fit(case, ranks, hosts))
            .map(spelling)
            .collect()
    }

    #[test]
    fn subjects_take_part_in_the_cases_that_they_have_something_for() {
        assert_eq!(fit(Name::Mpisync, 2, 1).len(), CASES.len());
        let in_files = [
            "tasks_200_dir",
            "tasks_1000_dir",
            "tasks_3000_dir",
            "tasks_200_dir_nosync",
            "tasks_1000_dir_nosync",
            "tasks_3000_dir_nosync",
        ];
        assert_eq!(fit(Name::FileOperations, 2, 1), in_files);
        let small = ["tasks_200", "tasks_1000", "tasks_3000", "tasks_1000_pairs"];
        assert_eq!(
            fit(Name::Pshmem, 2, 1),
            [&small[..], &in_files[..]].concat()
        );
        assert!(fit(Name::FileOperations, 2, 2).is_empty());
    }

    #[test]
    fn pairs_take_an_even_number_of_ranks() {
        let pairs = |ranks| fit(Name::Mpisync, ranks, 1).contains(&"tasks_1000_pairs".to_owned());
        assert!(pairs(2) && pairs(4) && !pairs(3) && !pairs(1));
    }
}
