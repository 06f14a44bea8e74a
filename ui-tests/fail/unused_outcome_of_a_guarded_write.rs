// An ignored error of a write, after which lines may be missing: return it with `?`.
#![deny(unused_must_use)]

use mpisync::prelude::*;
use std::io::Write;

fn main() -> std::io::Result<()> {
    let mut log = Guarded::local(AppendFile::new("log.txt"))?;
    log.write(|file| writeln!(file, "is it there?"));
    Ok(())
}
