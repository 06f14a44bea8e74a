//! Measures the cost of a message between ranks: the same cases for every subject, on the same
//! ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 channel [--json FILE] [--rounds N] [--cases stream_8,latency_8] [--subjects mpi_send_recv]
//! ```
//!
//! # The figures
//! Nanoseconds per message.
//!
//! - `stream_BYTES`: the first rank sends to the last rank as fast as possible. The figure is the
//!   time until the last message is received, divided by the number of messages.
//! - `latency_8`: a message of 8 bytes goes back and forth between the first and the last rank. The
//!   figure is half of the round-trip time.
//! - `two_by_two_8`: the first two ranks send 8 bytes as fast as possible, and the last two
//!   receive. The figure is the elapsed time divided by the number of all messages. Measured with 4
//!   or more ranks.
//!
//! The other ranks sleep. Messages are sent from and received into buffers that were made before.
//! Each begins with a number, by which the program checks that every message arrived once, and in
//! order if one rank sends to one. A sender that gets ahead waits when the subject has no space:
//! for 1,024 messages or 4 MiB if that can be configured.
//!
//! # Method
//! As in the benchmark of locks, the subjects take turns, round after round, and all ranks start a
//! round at the same moment of their common clock. The senders stop at another moment, and the
//! receivers have all messages shortly after.
//!
//! Two subjects run in jobs of their own on the same number of ranks: `mpi_rma` needs MPI
//! initialized for several threads, which makes the others slower with many MPIs, and
//! `mpi_channels` is written in Python. `cargo xtask bench channel` runs these jobs right before,
//! with as many rounds of the same length, and passes their rounds by `--with`. With `--threads`,
//! `mpi_rma` takes turns with the others, which then run with several threads, too.
//!
//! Compare figures of one run only, by their ratio: `mpisync/it` below 1 means that mpisync is
//! faster.

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

/// The length of a round.
const ROUND: Duration = Duration::from_millis(80);

/// Measures mpisync's channel and other implementations, on the ranks of this MPI job.
#[derive(Parser)]
#[command(name = "channel")]
struct Options {
    #[command(flatten)]
    selection: Selection<Case, Name>,
    /// Initialize MPI for several threads, and also measure the subjects that need it
    #[arg(long)]
    threads: bool,
    /// Write all rounds to FILE instead of printing a table
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
