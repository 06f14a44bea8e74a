//! A semaphore.

use anyhow::Result;
use mpisync::Semaphore;

use crate::cell::{Cell, FOREVER};

pub fn acquire(cell: &Cell) -> Result<()> {
    let semaphore = Semaphore::new(&cell.world, 1)?;
    if cell.is_victim() {
        return cell.strike_holding(semaphore.acquire());
    }
    cell.await_victim();
    cell.answer(semaphore.acquire_timeout(FOREVER))
}

/// Any rank may release permits, so the victim is missed only because all others wait.
pub fn acquire_what_is_released(cell: &Cell) -> Result<()> {
    let semaphore = Semaphore::builder(&cell.world, 0).unbounded().build()?;
    if cell.is_victim() {
        cell.strike()?;
        semaphore.release(1)?;
        return Ok(());
    }
    cell.answer(semaphore.acquire_timeout(FOREVER))
}
