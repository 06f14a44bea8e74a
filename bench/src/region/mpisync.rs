//! mpisync: a `Region`, used as in a program.

use std::ops::Range;

use ::mpisync::Region;
use ::mpisync::ndarray::{ArrayView1, Ix1, Ix2};

use super::rounds::{Array, Readable, sum};
use super::{Case, ROWS, Source, ends, items};
use crate::team::Team;

/// A region that is set as a whole.
pub struct Whole {
    region: Region<f64, Ix1>,
    root: i32,
    source: Source,
}

impl Whole {
    /// Makes the region. Collective.
    pub fn new(case: Case, team: &Team) -> Self {
        Self {
            region: line(case, team),
            root: case.worker(team),
            source: Source::new(case, team),
        }
    }
}

impl Array for Whole {
    fn write(&mut self, number: u64) {
        let data = self.source.stamped(number);
        let outcome = self.region.set(self.root, data, 0);
        outcome.expect("the root has items for all of the region");
    }

    fn ends(&self, place: Range<usize>) -> Option<[f64; 2]> {
        Some(ends(in_order(self.region.read().as_slice()), place))
    }

    fn close(self) {
        close(self.region);
    }
}

/// A region of rows, which the worker writes one at a time under the write lock. The others are
/// idle.
pub struct Rows {
    region: Region<f64, Ix2>,
    case: Case,
    source: Source,
}

impl Rows {
    /// Makes the region. Collective.
    pub fn new(case: Case, team: &Team) -> Self {
        let region = Region::new(team.world(), [ROWS, case.block()]);
        Self {
            region: region.expect("a region of all ranks can be made"),
            case,
            source: Source::new(case, team),
        }
    }
}

impl Array for Rows {
    fn write(&mut self, number: u64) {
        let items = self.source.stamped(number).expect("this rank writes");
        let row = self.case.place(number).start / self.case.block();
        let mut guard = self.region.write();
        guard.row_mut(row).assign(&ArrayView1::from(items));
    }

    fn ends(&self, place: Range<usize>) -> Option<[f64; 2]> {
        Some(ends(in_order(self.region.read().as_slice()), place))
    }

    fn close(self) {
        close(self.region);
    }
}

/// A region whose items are read under the read lock, which is taken once for all of them.
pub struct Items {
    region: Region<f64, Ix1>,
}

impl Items {
    /// Makes the region and fills it. Collective.
    pub fn new(case: Case, team: &Team) -> Self {
        let mut region = line(case, team);
        let root = case.worker(team);
        let outcome = region.set(root, Some(&items(case.items())), 0);
        outcome.expect("the root has items for all of the region");
        Self { region }
    }
}

impl Readable for Items {
    fn sum(&self) -> f64 {
        let guard = self.region.read();
        sum(in_order(guard.as_slice()))
    }

    fn close(self) {
        close(self.region);
    }
}

/// A region of one dimension. Collective.
fn line(case: Case, team: &Team) -> Region<f64, Ix1> {
    Region::new(team.world(), case.items()).expect("a region of all ranks can be made")
}

/// Frees the region. Collective.
fn close<D: ::mpisync::ndarray::Dimension>(region: Region<f64, D>) {
    region.close().expect("all ranks close the region");
}

#[inline]
fn in_order(items: Option<&[f64]>) -> &[f64] {
    items.expect("the items of a region lie one after the other")
}
