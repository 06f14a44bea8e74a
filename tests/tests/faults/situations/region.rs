//! A region.

use anyhow::Result;
use mpisync::ndarray::{Array1, Ix1};
use mpisync::{Region, RegionError};

use crate::cell::{Cell, FOREVER, VICTIM};

type Items = Region<u64, Ix1>;

pub fn read(cell: &Cell) -> Result<()> {
    let mut region = Items::new(&cell.world, [8])?;
    if cell.is_victim() {
        return cell.strike_holding(region.write());
    }
    cell.await_victim();
    cell.answer(region.read_timeout(FOREVER))
}

pub fn write(cell: &Cell) -> Result<()> {
    let mut region = Items::new(&cell.world, [8])?;
    if cell.is_victim() {
        return cell.strike_holding(region.read());
    }
    cell.await_victim();
    cell.answer(region.write_timeout(FOREVER))
}

pub fn write_part(cell: &Cell) -> Result<()> {
    let mut region = Items::new(&cell.world, [8])?;
    if cell.is_victim() {
        return cell.strike_holding(region.write_part(..4));
    }
    cell.await_victim();
    let taken = region.write_part_timeout(2..6, FOREVER);
    cell.answer(taken.map_err(|error| match error {
        RegionError::Lock(error) => error,
        error => unreachable!("it is inside the region: {error}"),
    }))
}

pub fn set(cell: &Cell) -> Result<()> {
    set_on(cell, 0)
}

pub fn set_by_another(cell: &Cell) -> Result<()> {
    set_on(cell, VICTIM)
}

fn set_on(cell: &Cell, root: i32) -> Result<()> {
    let mut region = Items::new(&cell.world, [8])?;
    let data = (cell.rank == root).then(|| Array1::from_elem(8, 1));
    if cell.is_victim() {
        cell.strike_or((), || drop(region.update(|items| items.fill(2))))?;
        region.set(root, data.as_ref(), [0])?;
        return Ok(());
    }
    cell.answer(region.set(root, data.as_ref(), [0]))
}

pub fn update_by_another(cell: &Cell) -> Result<()> {
    let mut region = Items::builder(&cell.world, [8]).master(VICTIM).build()?;
    if cell.is_victim() {
        cell.strike_or((), || drop(region.set(0, None::<&Array1<u64>>, [0])))?;
    }
    let outcome = region.update(|items| items.fill(2));
    if cell.is_victim() {
        outcome?;
        return Ok(());
    }
    cell.answer(outcome)
}
