//! Reads an array of this process by a pointer: the cost of adding up the items without a lock.

use std::hint::black_box;
use std::slice;

use super::rounds::{Readable, sum};
use super::{Case, items};
use crate::team::Team;

/// The array, on the worker.
pub struct RawPointer {
    items: Option<Vec<f64>>,
}

impl RawPointer {
    /// Allocates the array.
    pub fn new(case: Case, team: &Team) -> Self {
        let works = team.rank() == case.worker(team);
        Self {
            items: works.then(|| items(case.items())),
        }
    }
}

impl Readable for RawPointer {
    fn sum(&self) -> f64 {
        let items = self.items.as_ref().expect("this rank reads");
        // The items do not change; this makes the compiler read them again.
        let start = black_box(items.as_ptr());
        // SAFETY: the array has this number of items, and nobody writes them as long as they are
        // borrowed.
        sum(unsafe { slice::from_raw_parts(start, items.len()) })
    }

    fn close(self) {}
}
