// A file that is moved out of the closure: its owner closes it before the lock is released.
use mpisync::prelude::*;
use std::fs::File;
use std::io::BufWriter;

fn main() -> std::io::Result<()> {
    let mut log = Guarded::local(AppendFile::new("log.txt"))?;
    let _file: BufWriter<File> = log.write(|file| Ok(*file))?;
    Ok(())
}
