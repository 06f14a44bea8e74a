//! Calls in which one rank writes, and shares its value with the others.

use anyhow::Result;
use mpisync::{Access, CollectiveError, WindowController};

use super::collective::another_step;
use crate::cell::{Cell, FOREVER, VICTIM};
use crate::fault::Failure;

/// More than the memory that a controller has for values.
const LARGE: usize = 1_000_000;

/// The call, at one place for all ranks.
fn access(ctrl: &mut WindowController, writer: i32) -> Result<Access<'_>, CollectiveError> {
    ctrl.on(writer)?.single_write_timeout(FOREVER)
}

/// Shares a value of this many bytes.
fn share(ctrl: &mut WindowController, writer: i32, bytes: usize) -> Result<(), CollectiveError> {
    match access(ctrl, writer)? {
        Access::Writer(fence) => fence.share(vec![1_u8; bytes]).map(drop),
        Access::Excluded(fence) => fence.collect::<Vec<u8>>().map(drop),
    }
}

fn share_all(ctrl: &mut WindowController, sizes: &[usize]) -> Result<(), CollectiveError> {
    let mut sizes = sizes.iter();
    sizes.try_for_each(|bytes| share(ctrl, 0, *bytes))
}

/// The victim is the writer.
pub fn collect(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    let access = access(&mut ctrl, VICTIM)?;
    let outcome = access.run(|_| {
        cell.strike()?;
        Ok::<u64, Failure>(1)
    });
    if cell.is_victim() {
        outcome?;
        return Ok(());
    }
    cell.answer(outcome)
}

pub fn collect_of_a_fence(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    match access(&mut ctrl, VICTIM)? {
        Access::Writer(fence) => {
            cell.strike_with(fence)?.share(1_u64)?;
            Ok(())
        }
        Access::Excluded(fence) => cell.answer(fence.collect::<u64>()),
    }
}

pub fn collect_from_none(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    if cell.is_victim() {
        cell.strike_or((), || drop(another_step(&mut ctrl)))?;
    }
    let outcome = share(&mut ctrl, VICTIM, 8);
    if cell.is_victim() {
        outcome?;
        return Ok(());
    }
    cell.answer(outcome)
}

/// The victim is the writer, and has shared the first of two values.
pub fn collect_two_large(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    let outcome = share(&mut ctrl, VICTIM, LARGE).and_then(|()| {
        if cell.is_victim() {
            let strike = cell.strike_or((), || drop(another_step(&mut ctrl)));
            strike.map_err(|_| CollectiveError::Encode(String::new()))?;
        }
        share(&mut ctrl, VICTIM, LARGE)
    });
    if cell.is_victim() {
        outcome?;
        return Ok(());
    }
    cell.answer(outcome)
}

/// Rank 0 writes, and the others but the victim collect.
fn share_without_victim(cell: &Cell, sizes: &[usize]) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    if cell.is_victim() {
        cell.strike_or((), || drop(another_step(&mut ctrl)))?;
        share_all(&mut ctrl, sizes)?;
        return Ok(());
    }
    cell.await_fault();
    cell.answer(share_all(&mut ctrl, sizes))
}

pub fn share_small(cell: &Cell) -> Result<()> {
    share_without_victim(cell, &[8])
}

pub fn share_two_large(cell: &Cell) -> Result<()> {
    share_without_victim(cell, &[LARGE, LARGE])
}
