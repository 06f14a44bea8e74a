//! A condition.

use anyhow::Result;
use mpisync::{Condvar, Mutex};

use crate::cell::{Cell, FOREVER};

/// Any rank may notify, so the victim is missed only because all others wait.
pub fn wait(cell: &Cell) -> Result<()> {
    let mut mutex = Mutex::with_value(&cell.world, 0_u64)?;
    let condition = Condvar::new(&cell.world)?;
    if cell.is_victim() {
        cell.strike()?;
        *mutex.lock() = 1;
        condition.notify_all();
        return Ok(());
    }
    let guard = mutex.lock();
    cell.answer(condition.wait_timeout_while(guard, FOREVER, |value| *value == 0))
}
