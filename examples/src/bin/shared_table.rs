//! Many ranks write rows into one table of comma-separated values, and each row stays whole.
//!
//! The file belongs to a `Guarded`: the text of a rank is in the file before the next rank has the
//! lock. Without it, the last part of a row would stay in a buffer until the lock is released, and
//! rows would be torn.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::ensure;
use clap::Parser;
use mpisync::prelude::*;
use mpisync_examples::cli;

/// Writes rows of all ranks into one table
#[derive(Parser)]
struct Args {
    /// The table; an existing file is replaced
    file: PathBuf,
    /// Rows that each rank writes
    #[arg(long, value_name = "N", default_value_t = 200)]
    rows: u32,
}

fn main() -> ExitCode {
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    // One rank creates the file; the others wait for it.
    let mut table = Guarded::create(world, || {
        let mut file = File::create(&args.file)?;
        writeln!(file, "rank,row,angle,sine")?;
        Ok(AppendFile::new(&args.file))
    })?;
    write_rows(&mut table, args.rows)?;
    let rows = verify(&mut table, args.rows)?;
    table.close()?;
    Ok(format!("verified: {rows} rows in {}", args.file.display()))
}

/// All ranks compute at the same time and write one at a time.
#[mpisync::collective(ctrl = table.controller_mut())]
fn write_rows(table: &mut Guarded<AppendFile>, rows: u32) -> anyhow::Result<()> {
    let rank = table.controller().rank();
    for row in 0..rows {
        let text = text(rank, row);
        table.write(|file| writeln!(file, "{text}"))?;
    }
    Ok(())
}

/// Each rank reads the table again, at the same time as the others, and checks that it has every
/// row once. Returns the number of rows.
#[mpisync::collective(ctrl = table.controller_mut())]
fn verify(table: &mut Guarded<AppendFile>, rows: u32) -> anyhow::Result<usize> {
    let lines = table.read(|file| file.lines().collect::<io::Result<BTreeSet<_>>>())?;
    let ranks = 0..table.controller().size();
    let expected = ranks.flat_map(|rank| (0..rows).map(move |row| text(rank, row)));
    let mut count = 0;
    for row in expected {
        ensure!(lines.contains(&row), "there is no row `{row}`");
        count += 1;
    }
    let more = lines.len() - 1 - count;
    ensure!(more == 0, "there are {more} rows that nobody wrote");
    Ok(count)
}

/// A row that differs from all others.
fn text(rank: i32, row: u32) -> String {
    let angle = f64::from(row) / 100.0 + f64::from(rank);
    format!("{rank},{row},{angle},{}", angle.sin())
}
