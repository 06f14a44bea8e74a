//! What a message costs from one rank to another: the same cases for every subject, on the same ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 channel [--json FILE] [--rounds N] [--cases stream_8,latency_8] [--subjects mpi_send_recv]
//! ```
//!
//! # The figures
//! Nanoseconds a message.
//!
//! - `stream_BYTES`: the first rank sends to the last as fast as it can. This is the time that passed until the last
//!   message was received, divided by their number.
//! - `latency_8`: a message of 8 bytes goes to and fro between the first and the last rank; half the time.
//! - `two_by_two_8`: the first two ranks send 8 bytes as fast as they can, the last two receive; the time that passed
//!   divided by all messages. It is measured where there are 4 ranks.
//!
//! The other ranks sleep. Every message comes from and goes to a buffer that was made before, and begins with a number
//! by which is checked that each arrived once, and in order where one rank sends to one. A sender that gets ahead is
//! held up by what the subject has room for: 1,024 messages or 4 MiB where that can be chosen.
//!
//! # How they are taken
//! As in the benchmark of locks: the subjects take turns, round after round, and all ranks start a round at one moment
//! of the clock they share. The senders stop at another, and the receivers have everything a moment later.
//!
//! Two subjects have jobs of their own on the same number of ranks, which `cargo xtask bench channel` runs right before,
//! with as many rounds of the same length: `mpi_rma` needs MPI initialized for several threads, which makes many MPIs
//! slower for the others, and `mpi_channels` is written in Python. Their rounds come in by `--with`. With `--threads`,
//! `mpi_rma` takes turns with the others, which then have several threads too.
//!
//! Compare figures of one run only, and by their ratio: `mpisync/it` below 1 means that mpisync is faster.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync_bench::channel::{Case, Name};
use mpisync_bench::program::{self, Selection};
use mpisync_bench::report;
use mpisync_bench::team::Team;
use mpisync_bench::turns::measure;

/// Length of a round.
const ROUND: Duration = Duration::from_millis(80);

/// Measures mpisync's channel beside others, on the ranks of this MPI job.
#[derive(Parser)]
#[command(name = "channel")]
struct Options {
    #[command(flatten)]
    selection: Selection<Case, Name>,
    /// Initialize MPI for several threads, and measure the subjects too that need it
    #[arg(long)]
    threads: bool,
    /// Write all rounds to FILE, and no table
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    apart: Option<PathBuf>,
}

fn main() -> ExitCode {
    program::main(|options: &Options| options.threads, run)
}

fn run(options: &Options, world: &SimpleCommunicator) -> anyhow::Result<()> {
    let selection = &options.selection;
    anyhow::ensure!(world.size() > 1, "a message takes two ranks");
    let team = Team::new(world, ROUND);
    let setting = program::setting(world, team.hosts())?;
    let hosts = team.hosts();
    let subjects = selection.subjects(|name| {
        let has_threads = options.threads || !name.needs_threads();
        name.is_here() && has_threads && (hosts == 1 || name.spans_hosts())
    });
    let mut outcomes = Vec::new();
    for case in selection.cases() {
        if case.ranks() <= world.size() {
            let make = |name: Name| name.make(case, &team);
            outcomes.extend(measure(case, &subjects, selection.rounds, &team, make));
        }
    }
    team.disband();
    if world.rank() > 0 {
        return Ok(());
    }
    if let Some(path) = &options.apart {
        return report::write_rounds(path, &outcomes)
            .with_context(|| format!("cannot write {}", path.display()));
    }
    selection.conclude(outcomes, &setting)
}
