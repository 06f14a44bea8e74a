//! Draws the figures of a benchmark from what its jobs have written by `--json`.
//!
//! ```text
//! plot BENCH --into DIR [--note TEXT] FILE…
//! ```
//!
//! Each file has the figures of one job or of several. A picture is named after the benchmark, its
//! ranks and its hosts, and replaces an older one of the same name. `cargo xtask bench BENCH --plot
//! DIR` starts this program after the jobs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mpisync_bench::{figures, report};

/// Draws the figures of a benchmark, as SVG.
#[derive(Parser)]
#[command(name = "plot")]
struct Options {
    /// Which benchmark
    bench: String,
    /// The directory of the pictures; it is made if it does not exist
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Say this in each picture
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// What jobs have written by --json
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plot: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let mut entries = Vec::new();
    for path in &options.files {
        let read = report::read_json(path);
        entries.extend(read.with_context(|| format!("cannot read {}", path.display()))?);
    }
    std::fs::create_dir_all(&options.into)
        .with_context(|| format!("cannot make {}", options.into.display()))?;
    for path in figures::draw(&options.bench, entries, &options.note, &options.into)? {
        println!("wrote {}", path.display());
    }
    Ok(())
}
