//! Turns, which come to the ranks in their order.

use anyhow::Result;
use mpisync::Turn;

use crate::cell::{Cell, FOREVER};

/// The others have had their first turn, and wait for the second.
pub fn take(cell: &Cell) -> Result<()> {
    let mut turn = Turn::new(&cell.world)?;
    if cell.is_victim() {
        cell.strike()?;
        drop(turn.take_timeout(FOREVER)?);
        return Ok(());
    }
    drop(turn.take_timeout(FOREVER)?);
    cell.answer(turn.take_timeout(FOREVER))
}

pub fn take_after_another(cell: &Cell) -> Result<()> {
    let mut turn = Turn::new(&cell.world)?;
    if cell.is_victim() {
        return cell.strike_holding(turn.take());
    }
    drop(turn.take_timeout(FOREVER)?);
    cell.answer(turn.take_timeout(FOREVER))
}
