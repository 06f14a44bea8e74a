// A file that is kept after its lock is released: use it in the closure, and return the data that was read.
use mpisync::prelude::*;
use std::io::Write;

fn main() -> std::io::Result<()> {
    let mut log = Guarded::local(AppendFile::new("log.txt"))?;
    let file = log.write(|file| Ok(file))?;
    writeln!(file, "without the lock")
}
