// A write to a file that is open for reading: call `write` instead of `read`.
use mpisync::prelude::*;
use std::io::Write;

fn main() -> std::io::Result<()> {
    let log = Guarded::local(AppendFile::new("log.txt"))?;
    log.read(|file| writeln!(file, "beside other readers"))?;
    Ok(())
}
