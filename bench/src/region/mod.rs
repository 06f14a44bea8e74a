//! The cases and subjects of the region benchmark.
//!
//! One more subject is a program of its own: `measure_pshmem.py` measures a Python package in the
//! same cases.

pub mod memcpy;
pub mod mpi_bcast;
pub mod mpi_send;
pub mod mpi_win_shared;
pub mod mpisync;
pub mod raw_pointer;
mod rounds;

use std::ops::Range;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::team::Team;
use crate::turns::Subject;
use rounds::{Alone, Sums, Together};

/// A case; the number is the size in bytes of an array of `f64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// The first rank has items for the whole array, and all ranks get them.
    Set(usize),
    /// One rank has items for a row of a square array, and all ranks get or can fetch them.
    RowOf(usize),
    /// One rank adds up the items; the others are idle.
    Sum(usize),
}

/// The cases, in the order of their measurement.
const CASES: [Case; 5] = [
    Case::Set(120),
    Case::Set(8_000_000),
    Case::Set(160_000_000),
    Case::RowOf(8_000_000),
    Case::Sum(8_000_000),
];

/// The number of rows of an array that is written by rows, and of items per row.
const ROWS: usize = 1000;

/// A larger array, in bytes, is large.
const LARGE: usize = 10_000_000;

impl ValueEnum for Case {
    fn value_variants<'a>() -> &'a [Self] {
        &CASES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (kind, bytes) = match self {
            Case::Set(bytes) => ("set", bytes),
            Case::RowOf(bytes) => ("row_of", bytes),
            Case::Sum(bytes) => ("sum", bytes),
        };
        Some(PossibleValue::new(format!("{kind}_{bytes}")))
    }
}

impl Case {
    /// The number of items of the array.
    pub fn items(self) -> usize {
        match self {
            Case::Set(bytes) | Case::RowOf(bytes) | Case::Sum(bytes) => bytes / size_of::<f64>(),
        }
    }

    /// The number of items written at a time.
    pub fn block(self) -> usize {
        match self {
            Case::Set(_) | Case::Sum(_) => self.items(),
            Case::RowOf(_) => self.items() / ROWS,
        }
    }

    /// The position of the items of this number: rows one after the other.
    pub fn place(self, number: u64) -> Range<usize> {
        let blocks = self.items() / self.block();
        let start = (number % blocks as u64) as usize * self.block();
        start..start + self.block()
    }

    /// The rank that has the items, or adds them up.
    pub fn worker(self, team: &Team) -> i32 {
        match self {
            Case::Set(_) => 0,
            Case::RowOf(_) | Case::Sum(_) => team.lone_rank(),
        }
    }

    /// The length of a round, in which several operations at least fit.
    pub fn round(self) -> Duration {
        Duration::from_millis(match self.block() * size_of::<f64>() {
            0..100_000 => 80,
            100_000..LARGE => 200,
            _ => 600,
        })
    }

    /// The number of rounds to measure if `asked` are requested: a third of them for a large array.
    pub fn rounds(self, asked: u32) -> u32 {
        match self.items() * size_of::<f64>() {
            0..LARGE => asked,
            _ => asked.div_ceil(3),
        }
    }
}

/// A subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    /// This project.
    Mpisync,
    /// The Python package `pshmem`, in a program of its own.
    Pshmem,
    /// `MPI_Bcast` into private arrays of the ranks.
    MpiBcast,
    /// A copy into a window from `MPI_Win_allocate_shared`, between two barriers.
    MpiWinShared,
    /// A row by `MPI_Send` to one other rank, and an empty reply.
    MpiSend,
    /// A copy within one process.
    Memcpy,
    /// Reading a private array.
    RawPointer,
}

impl Name {
    /// Whether the subject has an equivalent of the case.
    pub fn takes(self, case: Case) -> bool {
        match case {
            Case::Set(_) => !matches!(self, Name::MpiSend | Name::RawPointer),
            Case::RowOf(_) => self != Name::RawPointer,
            Case::Sum(_) => matches!(self, Name::Mpisync | Name::RawPointer),
        }
    }

    /// Whether this program can measure it.
    pub fn is_here(self) -> bool {
        self != Name::Pshmem
    }

    /// Whether it works with this number of ranks and hosts.
    pub fn is_fit(self, ranks: i32, hosts: usize) -> bool {
        match self {
            Name::MpiWinShared => hosts == 1,
            Name::MpiBcast | Name::MpiSend => ranks > 1,
            _ => true,
        }
    }

    /// Makes the subject for a case. Collective.
    ///
    /// # Panics
    /// If this program [cannot measure it](Self::is_here).
    pub fn make(self, case: Case, team: &Team) -> Box<dyn Subject<Case>> {
        match (self, case) {
            (Name::Mpisync, Case::Set(_)) => {
                Box::new(Together::new(mpisync::Whole::new(case, team)))
            }
            (Name::Mpisync, Case::RowOf(_)) => Box::new(Alone::new(mpisync::Rows::new(case, team))),
            (Name::Mpisync, Case::Sum(_)) => Box::new(Sums::new(mpisync::Items::new(case, team))),
            (Name::Pshmem, _) => panic!("a program of its own measures it"),
            (Name::MpiBcast, _) => Box::new(Together::new(mpi_bcast::MpiBcast::new(case, team))),
            (Name::MpiWinShared, _) => {
                Box::new(Together::new(mpi_win_shared::MpiWinShared::new(case, team)))
            }
            (Name::MpiSend, _) => Box::new(Alone::new(mpi_send::MpiSend::new(case, team))),
            (Name::Memcpy, _) => Box::new(Alone::new(memcpy::Memcpy::new(case, team))),
            (Name::RawPointer, _) => Box::new(Sums::new(raw_pointer::RawPointer::new(case, team))),
        }
    }
}

/// The items to be written, in the private memory of the worker.
struct Source {
    items: Option<Vec<f64>>,
}

impl Source {
    fn new(case: Case, team: &Team) -> Self {
        let works = team.rank() == case.worker(team);
        Self {
            items: works.then(|| items(case.block())),
        }
    }

    /// The items of this number, on the worker.
    fn stamped(&mut self, number: u64) -> Option<&[f64]> {
        let items = self.items.as_mut()?;
        stamp(items, number);
        Some(items)
    }
}

/// `count` items, in memory that has been touched. Their sum is the same in any order of the
/// additions.
fn items(count: usize) -> Vec<f64> {
    (0..count).map(|index| (index % 1024) as f64).collect()
}

/// Writes a number into the first and the last item.
fn stamp(items: &mut [f64], number: u64) {
    let last = items.len() - 1;
    items[0] = number as f64;
    items[last] = number as f64;
}

/// The first and the last item of a part of an array.
fn ends(items: &[f64], place: Range<usize>) -> [f64; 2] {
    let items = &items[place];
    [items[0], items[items.len() - 1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_named_by_the_bytes_of_an_array() {
        let names: Vec<String> = CASES
            .iter()
            .map(|case| case.to_possible_value().unwrap().get_name().to_owned())
            .collect();
        let sets = ["set_120", "set_8000000", "set_160000000"];
        assert_eq!(names[..3], sets);
        assert_eq!(names[3..], ["row_of_8000000", "sum_8000000"]);
    }

    #[test]
    fn rows_are_written_in_turn() {
        let rows = Case::RowOf(8_000_000);
        assert_eq!(rows.place(0), 0..1000);
        assert_eq!(rows.place(999), 999_000..1_000_000);
        assert_eq!(rows.place(1001), 1000..2000);
        assert_eq!(Case::Set(120).place(7), 0..15);
    }

    #[test]
    fn large_arrays_have_long_rounds_and_few() {
        let large = Case::Set(160_000_000);
        assert_eq!(large.round(), Duration::from_millis(600));
        assert_eq!((large.rounds(15), large.rounds(1)), (5, 1));
        assert_eq!(Case::RowOf(8_000_000).round(), Duration::from_millis(80));
        assert_eq!(Case::RowOf(8_000_000).rounds(15), 15);
    }

    #[test]
    fn a_stamp_is_at_both_ends() {
        let mut array = items(10);
        stamp(&mut array[2..6], 77);
        assert_eq!(ends(&array, 2..6), [77.0, 77.0]);
        assert_eq!(array[1..5], [1.0, 77.0, 3.0, 4.0]);
        assert_eq!(array[6], 6.0);
    }
}
