//! A latch.

use anyhow::Result;
use mpisync::Latch;

use crate::cell::{Cell, FOREVER, RANKS};

pub fn wait(cell: &Cell) -> Result<()> {
    let latch = Latch::new(&cell.world, RANKS as u64)?;
    if cell.is_victim() {
        cell.strike()?;
        latch.count_down(1)?;
        return Ok(());
    }
    latch.count_down(1)?;
    cell.answer(latch.wait_timeout(FOREVER))
}
