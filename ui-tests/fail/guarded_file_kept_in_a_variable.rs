// A file that is stored outside its closure: use it in the closure.
use mpisync::prelude::*;
use std::fs::File;
use std::io::{BufWriter, Write};

fn main() -> std::io::Result<()> {
    let mut log = Guarded::local(AppendFile::new("log.txt"))?;
    let mut kept: Option<&mut BufWriter<File>> = None;
    log.write(|file| {
        kept = Some(file);
        Ok(())
    })?;
    writeln!(kept.unwrap(), "without the lock")
}
