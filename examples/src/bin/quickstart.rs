//! The code on the README's first page: every rank of a job signs a file that one of them has
//! created.

use mpisync::prelude::*;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};

fn main() -> std::process::ExitCode {
    mpisync::run(|world| -> io::Result<()> {
        // One rank creates the file, and the others wait for it.
        let mut list = Guarded::create(world, || {
            File::create("ranks.txt").map(|_| AppendFile::new("ranks.txt"))
        })?;
        list.write(|file| writeln!(file, "rank {} was here", world.rank()))?; // one rank at a time
        world.barrier(); // all ranks have written
        if world.rank() == 0 {
            let signed = list.read(|file| Ok(file.lines().count()))?; // many ranks may read at once
            println!("{signed} of {} ranks have signed", world.size());
            fs::remove_file("ranks.txt")?;
        }
        Ok(())
    })
}
