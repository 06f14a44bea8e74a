//! What a lock costs: the same cases for every subject, on the same ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 lock [--json FILE] [--rounds N] [--cases read_all,write_all] [--subjects mpi_win_lock]
//! ```
//!
//! # The figures
//! Nanoseconds an operation; an operation is an acquisition and its release.
//!
//! - `read_alone`, `write_alone`: one rank works, the other ranks sleep. This is what one rank waits.
//! - `read_all`, `write_all`: all ranks work all the time. This is the time that passed divided by the
//!   operations of all ranks together, so that two ranks that do not hinder each other show half the time.
//! - `write_moved`: the first and the last rank lock for writing in turn, and tell each other by a message when it is the
//!   other's turn. This is what one rank waits that finds the lock free, and last used by the other.
//! - `write_beside_busy`: one rank locks for writing every 3 ms while all others compute outside MPI; the longest that
//!   it waits in a round.
//! - `idle`: nobody does anything; nanoseconds of processor time that the busiest rank takes in a second. 10,000,000 are
//!   1 % of a core. Beside it what naps of a millisecond take by themselves on this machine (`nap_1ms`).
//! - `single_write_share_8`: rank 0 hands 8 bytes to all ranks, again and again: `single_write`, then `share` or
//!   `collect`. The barrier of `mpi_bcast_barrier` keeps every rank until all are there; mpisync's writer takes
//!   the write lock instead, and may be one call ahead of those who collect.
//!
//! # How they are taken
//! The subjects take turns, round after round (A B C, A B C, …), so that whatever else the machine does
//! meets all of them. All ranks start a round at one moment of the clock they share and stop at another,
//! whoever got how many turns; so no rank ever finishes early and leaves the others without company. The
//! table shows median, least and greatest of the rounds, after one that is not counted; JSON has the median.
//!
//! - `round_trip`: the last rank asks rank 0 by `MPI_Fetch_and_op` and flushes.
//!
//! Over several hosts the one that works alone is the last rank, which is not on the master's host; the other ranks
//! sleep where mpisync is measured, and stay inside MPI for subjects that need it. Open MPI 4 has no windows there, and
//! `mcs_rma` stands still in those of MPICH 4.0. On one host it is left out with Open MPI 4, which crashes in its windows.
//!
//! Under every write lock a counter in the host's shared memory grows by one, and under every read lock it is read.
//! After each round they must together be the number of operations, or the benchmark fails: what is measured excludes.
//!
//! Compare figures of one run only, and by their ratio: `mpisync/it` below 1 means that mpisync is faster.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync_bench::lock::{Case, Name, Windows};
use mpisync_bench::program::{self, Selection};
use mpisync_bench::team::Team;
use mpisync_bench::turns::measure;

/// Length of a round.
const ROUND: Duration = Duration::from_millis(80);

/// Measures mpisync's lock beside others, on the ranks of this MPI job.
#[derive(Parser)]
#[command(name = "lock")]
struct Options {
    #[command(flatten)]
    selection: Selection<Case, Name>,
}

fn main() -> ExitCode {
    program::main(|_: &Options| false, run)
}

fn run(options: &Options, world: &SimpleCommunicator) -> anyhow::Result<()> {
    let selection = &options.selection;
    let team = Team::new(world, ROUND);
    let setting = program::setting(world, team.hosts())?;
    let windows = Windows::of(&setting.mpi);
    let mut outcomes = Vec::new();
    for case in selection.cases() {
        let subjects =
            selection.subjects(|name| name.takes(case) && name.is_fit(team.hosts(), windows));
        let make = |name: Name| name.make(&team);
        outcomes.extend(measure(case, &subjects, selection.rounds, &team, make));
    }
    if world.rank() == 0 {
        selection.conclude(outcomes, &setting)?;
    }
    team.disband();
    Ok(())
}
