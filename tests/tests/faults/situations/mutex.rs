//! A mutex.

use anyhow::Result;
use mpisync::Mutex;

use crate::cell::{Cell, FOREVER};

pub fn lock(cell: &Cell) -> Result<()> {
    let mut mutex = Mutex::with_value(&cell.world, 0_u64)?;
    if cell.is_victim() {
        return cell.strike_holding(mutex.lock());
    }
    cell.await_victim();
    cell.answer(mutex.lock_timeout(FOREVER))
}
