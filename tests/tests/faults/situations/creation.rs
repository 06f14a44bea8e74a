//! Objects that are made and closed.

use anyhow::Result;
use mpisync::{Barrier, Counter};

use super::collective::another_step;
use crate::cell::Cell;

/// The first object of the communicator.
pub fn first(cell: &Cell) -> Result<()> {
    if cell.is_victim() {
        cell.strike_or((), || drop(Barrier::new(&cell.world)))?;
    }
    let made = mpisync::sync(&cell.world);
    if cell.is_victim() {
        made?;
        return Ok(());
    }
    cell.answer(made)
}

/// Another object of the communicator.
pub fn further(cell: &Cell) -> Result<()> {
    let _ctrl = mpisync::sync(&cell.world)?;
    if cell.is_victim() {
        cell.strike_or((), || drop(Barrier::new(&cell.world)))?;
    }
    let made = Counter::<u64>::new(&cell.world);
    if cell.is_victim() {
        made?;
        return Ok(());
    }
    cell.answer(made)
}

pub fn close(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    if cell.is_victim() {
        cell.strike_or((), || drop(another_step(&mut ctrl)))?;
    }
    let closed = ctrl.close();
    if cell.is_victim() {
        closed?;
        return Ok(());
    }
    cell.answer(closed)
}
