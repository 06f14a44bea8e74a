//! A counter.

use anyhow::Result;
use mpisync::{Counter, Transport};

use crate::cell::{Cell, VICTIM};

pub fn next(cell: &Cell) -> Result<()> {
    next_by(cell, Transport::Messages)
}

pub fn next_in_a_window(cell: &Cell) -> Result<()> {
    next_by(cell, Transport::Windows)
}

fn next_by(cell: &Cell, transport: Transport) -> Result<()> {
    let builder = Counter::<u64>::builder(&cell.world).root(VICTIM);
    let counter = builder.transport(transport).build()?;
    if cell.is_victim() {
        cell.strike()?;
        return Ok(());
    }
    cell.await_fault();
    cell.answer(counter.try_next())
}
