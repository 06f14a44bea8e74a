//! Regions as fields: methods that read them in place, lend guards, and write on the master or on a
//! selected rank.

use mpisync::ndarray::{ArrayView1, Ix2};
use mpisync::{CollectiveError, CreateError, Equivalence, Plain, Region, RegionReadGuard};

#[derive(Clone, Copy, Debug, PartialEq, Equivalence)]
struct Cell {
    pressure: f64,
    velocity: [f64; 3],
}

struct Simulation<T: Plain> {
    cells: Region<Cell, Ix2>,
    weights: Region<T>,
    steps: u32,
}

impl<T: Plain + Into<f64>> Simulation<T> {
    fn new(weight: T) -> Result<Self, CreateError> {
        let mut weights = Region::local(3)?;
        weights.write().fill(weight);
        Ok(Self {
            cells: Region::local([4, 3])?,
            weights,
            steps: 0,
        })
    }

    fn cells(&self) -> RegionReadGuard<'_, Cell, Ix2> {
        self.cells.read()
    }

    /// Reads one region while it writes another one, and other fields.
    fn step(&mut self) {
        let weights = self.weights.read();
        let mut cells = self.cells.write();
        for mut row in cells.view_mut().rows_mut() {
            for (cell, &weight) in row.iter_mut().zip(weights.iter()) {
                cell.pressure += weight.into();
            }
        }
        self.steps += 1;
    }

    /// The work of one rank for all of them, with its return value.
    fn start(&mut self, pressure: f64) -> Result<f64, CollectiveError> {
        let steps = &mut self.steps;
        self.cells.try_update(|cells| {
            *steps = 0;
            let velocity = [1.0, 0.0, 0.0];
            cells.fill(Cell { pressure, velocity });
            cells[[0, 0]].pressure = 0.0;
            Ok(total(cells.row(0)))
        })
    }
}

/// Takes the rows of any region.
fn total(row: ArrayView1<'_, Cell>) -> f64 {
    row.iter().map(|cell| cell.pressure).sum()
}

fn main() {
    let mut simulation = Simulation::new(0.5_f32).unwrap();
    assert_eq!(simulation.start(2.0).unwrap(), 4.0);
    simulation.step();
    simulation.step();
    assert_eq!(simulation.steps, 2);
    let cells = simulation.cells();
    assert_eq!((cells[[0, 0]].pressure, cells[[3, 2]].pressure), (1.0, 3.0));
    assert_eq!(total(cells.row(3)), 9.0);
}
