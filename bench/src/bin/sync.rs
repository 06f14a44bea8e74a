//! What the smaller things cost that ranks share: the same cases for every subject, on the same ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 sync [--json FILE] [--rounds N] [--subjects mpi_fetch_and_op]
//! ```
//!
//! # The figures
//! Nanoseconds an operation.
//!
//! - `counter`: all ranks take the next number all the time; the time that passed divided by the numbers that all of them
//!   took. After each round these must together be what the counter went on by.
//!
//! The subjects take turns, round after round, and all ranks start a round at one moment of the clock they share and stop at
//! another. Compare figures of one run only, and by their ratio: `mpisync/it` below 1 means that mpisync is faster.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync_bench::lock::Windows;
use mpisync_bench::program::{self, chosen};
use mpisync_bench::report::{self, Setting};
use mpisync_bench::sync::{Case, Name};
use mpisync_bench::team::Team;
use mpisync_bench::turns::{conclude, measure};

/// Length of a round.
const ROUND: Duration = Duration::from_millis(80);

/// Measures mpisync's smaller shared things beside others, on the ranks of this MPI job.
#[derive(Parser)]
#[command(name = "sync")]
struct Options {
    /// Write the figures to FILE as JSON too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Rounds of each subject in each case, 80 ms each
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these cases
    #[arg(long, value_delimiter = ',', value_name = "CASE,…")]
    cases: Vec<Case>,
    /// Only these subjects
    #[arg(long, value_delimiter = ',', value_name = "SUBJECT,…")]
    subjects: Vec<Name>,
}

fn main() -> ExitCode {
    program::main(|_: &Options| false, run)
}

fn run(options: &Options, world: &SimpleCommunicator) -> anyhow::Result<()> {
    let team = Team::new(world, ROUND);
    let setting = Setting {
        mpi: report::short_version(&mpi::environment::library_version()?),
        ranks: world.size() as usize,
        hosts: team.hosts(),
    };
    let windows = Windows::of(&setting.mpi);
    let subjects: Vec<Name> = chosen(&options.subjects)
        .into_iter()
        .filter(|name| name.is_fit(team.hosts(), windows))
        .collect();
    let mut outcomes = Vec::new();
    for case in chosen(&options.cases) {
        let make = |name: Name| name.make(&team);
        outcomes.extend(measure(case, &subjects, options.rounds, &team, make));
    }
    if world.rank() == 0 {
        conclude::<Case, Name>(outcomes, &[], &setting, options.json.as_deref())?;
    }
    team.disband();
    Ok(())
}
