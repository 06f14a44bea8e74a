//! The lock of a controller.

use anyhow::Result;

use crate::cell::{Cell, FOREVER};

pub fn read(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    if cell.is_victim() {
        return cell.strike_holding(ctrl.write());
    }
    cell.await_victim();
    cell.answer(ctrl.read_timeout(FOREVER))
}

pub fn write_behind_writer(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    if cell.is_victim() {
        return cell.strike_holding(ctrl.write());
    }
    cell.await_victim();
    cell.answer(ctrl.write_timeout(FOREVER))
}

pub fn write_behind_reader(cell: &Cell) -> Result<()> {
    let mut ctrl = mpisync::sync(&cell.world)?;
    if cell.is_victim() {
        return cell.strike_holding(ctrl.read());
    }
    cell.await_victim();
    cell.answer(ctrl.write_timeout(FOREVER))
}
