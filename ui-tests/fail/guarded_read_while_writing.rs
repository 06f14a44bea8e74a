// A read inside a write: read before it.
use mpisync::prelude::*;
use std::io::{BufRead, Write};

fn main() -> std::io::Result<()> {
    let mut log = Guarded::local(AppendFile::new("log.txt"))?;
    log.write(|file| {
        let lines = log.read(|file| Ok(file.lines().count()))?;
        writeln!(file, "{lines} lines")
    })?;
    Ok(())
}
