//! A barrier.

use anyhow::Result;
use mpisync::Barrier;

use crate::cell::{Cell, FOREVER};

pub fn wait(cell: &Cell) -> Result<()> {
    let barrier = Barrier::new(&cell.world)?;
    if cell.is_victim() {
        cell.strike()?;
        barrier.wait_timeout(FOREVER)?;
        return Ok(());
    }
    cell.answer(barrier.wait_timeout(FOREVER))
}
