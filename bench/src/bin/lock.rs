//! Measures the cost of a lock: the same cases for every subject, on the same ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 lock [--json FILE] [--rounds N] [--cases read_all,write_all] [--subjects mpi_win_lock]
//! ```
//!
//! # The figures
//! Nanoseconds per operation; an operation is an acquisition and its release.
//!
//! - `read_alone`, `write_alone`: one rank works, the others sleep. The figure is the time that one
//!   rank needs.
//! - `read_mostly`: the same with one write lock in each thousand. Then mpisync's readers have their
//!   memory barrier, which they leave out after many reads without a writer.
//! - `read_all`, `write_all`: all ranks work all the time. The figure is the elapsed time divided
//!   by the operations of all ranks together: two ranks that do not delay each other show half the
//!   time.
//! - `read_threads_1`, `read_threads_4`: one thread, or four, of each rank lock for reading all the time,
//!   mpisync's by a `SharedController`. The figure is the elapsed time divided by the operations of all
//!   threads together.
//! - `write_moved`: the first and the last rank lock for writing in turn, and hand the turn over by
//!   a message. The figure is the time that a rank needs for a free lock that the other rank used
//!   last.
//! - `write_beside_busy`: one rank locks for writing every 3 ms while all others compute outside
//!   MPI. The figure is its longest wait in a round.
//! - `idle`: all ranks sleep. The figure is the processor time of the busiest rank in nanoseconds
//!   per second; 10,000,000 are 1 % of a core. `nap_1ms` shows the cost of sleeps of a millisecond
//!   alone.
//! - `single_write_share_8`: rank 0 sends 8 bytes to all ranks, repeatedly: `single_write`, then
//!   `share` or `collect`. The barrier of `mpi_bcast_barrier` holds every rank until all have
//!   arrived; mpisync's writer takes the write lock instead, and may be one call ahead of the
//!   collectors.
//! - `round_trip`: the last rank calls `MPI_Fetch_and_op` on rank 0 and flushes.
//!
//! # Method
//! The subjects take turns, round after round (A B C, A B C, …), so that other load of the machine
//! affects all of them. All ranks start a round at the same moment of their common clock and stop
//! at another, regardless of how many operations each has done; so no rank finishes early and
//! leaves the others without contention. The table and JSON have the median, minimum and maximum of
//! the rounds, without the first one. `cargo xtask bench lock --plot DIR` draws them.
//!
//! Over several hosts, the last rank works alone, because it is not on the master's host. The other
//! ranks sleep while mpisync is measured, and stay inside MPI for subjects that need it. Open MPI 4
//! has no windows over hosts, and `mcs_rma` hangs in those of MPICH 4.0. On one host it is left out
//! with Open MPI 4, which crashes in its windows.
//!
//! Each write lock increments a counter in the host's shared memory, and each read lock reads it.
//! After each round the counters of all hosts must add up to the number of operations, or the
//! benchmark fails: only locks that exclude are measured.
//!
//! Compare figures of one run only, by their ratio: `mpisync/it` below 1 means that mpisync is
//! faster.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync_bench::lock::{Case, Name, Windows};
use mpisync_bench::program::{self, Selection};
use mpisync_bench::team::Team;
use mpisync_bench::turns::measure;

/// The length of a round.
const ROUND: Duration = Duration::from_millis(80);

/// Measures mpisync's lock and other implementations, on the ranks of this MPI job.
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
