//! A value that is computed once.

use anyhow::Result;
use mpisync::OnceShared;

use crate::cell::{Cell, FOREVER};
use crate::fault::Failure;

pub fn get(cell: &Cell) -> Result<()> {
    let once = OnceShared::<u64>::new(&cell.world)?;
    if cell.is_victim() {
        once.get_or_try_init(|| {
            cell.strike()?;
            Ok::<u64, Failure>(1)
        })?;
        return Ok(());
    }
    cell.await_victim();
    cell.answer(once.get_or_try_init_timeout(FOREVER, || Ok::<u64, Failure>(2)))
}
