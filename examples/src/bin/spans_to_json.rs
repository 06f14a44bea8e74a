//! Sends what ranks wait for and what they hold to a subscriber of `tracing`, here one that writes JSON: a file for each
//! rank, with a line for each span that has ended.
//!
//! The spans of mpisync are inside of those of the program, so a wait shows the step in which it was. No code enters them,
//! so their `time.idle` is how long they lasted.
//!
//! ```sh
//! mpiexec -n 4 target/release/spans_to_json spans
//! jq -r 'select(.span.name == "wait") | [.span["mpisync.rank"], .fields["time.idle"], .spans[0].number] | @tsv' spans/*.jsonl
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use mpi::traits::Communicator;
use mpisync::prelude::*;
use mpisync_examples::cli;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// How long a result takes to write.
const WRITING: Duration = Duration::from_millis(2);
/// How many results a rank has.
const RESULTS: u32 = 10;

/// Writes results in turn, and the spans of each rank as JSON.
#[derive(Debug, Parser)]
struct Args {
    /// The directory for the spans, a file for each rank
    directory: PathBuf,
}

fn main() -> ExitCode {
    mpisync::run(|world| {
        cli::run(world, |args: Args| {
            listen(&args.directory, world.rank())?;
            let mut results = WindowController::builder(world).name("results").build()?;
            for number in 0..RESULTS {
                let _step = tracing::info_span!("step", number).entered();
                let _writing = results.write();
                thread::sleep(WRITING);
            }
            results.close()?;
            let (ranks, directory) = (world.size(), args.directory.display());
            Ok(format!(
                "{ranks} ranks wrote {RESULTS} results each; their spans are in {directory}"
            ))
        })
    })
}

/// Writes all spans of this process into a file, once they have ended.
fn listen(directory: &Path, rank: i32) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let path = directory.join(format!("rank-{rank}.jsonl"));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let subscriber = tracing_subscriber::fmt()
        .json()
        // Those of mpisync have the level `DEBUG`.
        .with_max_level(LevelFilter::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(Mutex::new(file))
        .finish();
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}
