//! Functions with `#[mpisync::collective]`.

use anyhow::Result;
use mpisync::WindowController;

use crate::cell::Cell;
use crate::fault::Failure;

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<i32, Failure> {
    Ok(ctrl.rank())
}

#[mpisync::collective]
fn step_with_the_fault(ctrl: &mut WindowController, cell: &Cell) -> Result<i32, Failure> {
    if cell.is_victim() {
        cell.strike()?;
    }
    Ok(ctrl.rank())
}

/// Another call on the same controller.
#[mpisync::collective]
pub fn another_step(ctrl: &mut WindowController) -> Result<i32, Failure> {
    Ok(ctrl.rank())
}

pub fn enter(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    if cell.is_victim() {
        cell.strike_or((), || drop(another_step(&mut ctrl)))?;
        step(&mut ctrl)?;
        return Ok(());
    }
    cell.answer(step(&mut ctrl))
}

pub fn body(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    let outcome = step_with_the_fault(&mut ctrl, cell);
    if cell.is_victim() {
        outcome?;
        return Ok(());
    }
    cell.answer(outcome)
}
