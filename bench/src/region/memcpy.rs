//! A copy from one array to another of the same process: the cost of moving the items on this
//! machine.

use std::hint::black_box;
use std::ops::Range;

use super::rounds::Array;
use super::{Case, Source, ends, items};
use crate::team::Team;

/// The array of the worker, and the source of the copies.
pub struct Memcpy {
    case: Case,
    source: Source,
    items: Option<Vec<f64>>,
}

impl Memcpy {
    /// Allocates the arrays on the worker.
    pub fn new(case: Case, team: &Team) -> Self {
        let works = team.rank() == case.worker(team);
        Self {
            case,
            source: Source::new(case, team),
            items: works.then(|| items(case.items())),
        }
    }
}

impl Array for Memcpy {
    fn write(&mut self, number: u64) {
        let data = self.source.stamped(number).expect("this rank writes");
        let items = self.items.as_mut().expect("this rank writes");
        items[self.case.place(number)].copy_from_slice(data);
        // No code reads them; this keeps the compiler from removing the copy.
        black_box(items.as_mut_ptr());
    }

    fn ends(&self, place: Range<usize>) -> Option<[f64; 2]> {
        self.items.as_ref().map(|items| ends(items, place))
    }

    fn close(self) {}
}
