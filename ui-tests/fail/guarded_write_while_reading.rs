// A write inside a read, which would wait for itself: return what was read, and write after it.
use mpisync::prelude::*;
use std::io::{BufRead, Write};

fn main() -> std::io::Result<()> {
    let mut log = Guarded::local(AppendFile::new("log.txt"))?;
    log.read(|file| {
        let lines = file.lines().count();
        log.write(|file| writeln!(file, "{lines} lines"))?;
        Ok(())
    })?;
    Ok(())
}
