//! A lock that owns a file.

use std::io::Write;

use anyhow::Result;
use mpisync::guarded::{AppendFile, Guarded};

use crate::cell::Cell;

pub fn write(cell: &Cell) -> Result<()> {
    let path = cell.file("guarded");
    let mut log = Guarded::new(&cell.world, AppendFile::new(path))?;
    if cell.is_victim() {
        log.write(|file| {
            cell.strike().map_err(std::io::Error::other)?;
            writeln!(file, "a line")
        })?;
        return Ok(());
    }
    cell.await_victim();
    cell.answer(log.write(|file| writeln!(file, "a line")))
}
