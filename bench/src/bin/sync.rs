//! What the smaller things cost that ranks share: the same cases for every subject, on the same ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 sync [--json FILE] [--rounds N] [--cases mutex_all,turn] [--subjects mpi_fetch_and_op]
//! ```
//!
//! # The figures
//! Nanoseconds an operation.
//!
//! - `mutex_alone`: one rank locks and unlocks a mutex, the other ranks sleep. This is what one rank waits.
//! - `mutex_all`: all ranks do so all the time; the time that passed divided by the operations of all ranks together.
//! - `counter`: all ranks take the next number all the time; the time that passed divided by the numbers that all of them
//!   took. After each round these must together be what the counter went on by.
//! - `semaphore_alone`, `semaphore_all`: the same as with the mutex, with a semaphore of one permit that is acquired and
//!   released.
//! - `turn`: one rank after the other, in their order, has its turn and does nothing in it, and then again from the first
//!   rank on; the time that passed divided by the turns of all ranks together. This is what it takes to hand a turn over.
//! - `barrier`: all ranks wait until all are there, again and again; the time from one barrier to the next.
//!
//! `mpi_messages` is what no program can do better that has nothing but messages between ranks that wait for them: an empty
//! one that goes around the ring is the turn, by blocking `MPI_Send` and `MPI_Recv`, and a barrier is as many steps of
//! `MPI_Sendrecv` as it takes until each rank has heard of all. Divided by its figures, those of `turn` and `barrier` tell
//! how near mpisync is to the latency of the network; on one host, where it uses the memory of all ranks, it may take less.
//!
//! # How they are taken
//! The subjects take turns, round after round, and all ranks start a round at one moment of the clock they share and stop at
//! another. In `turn` and `barrier`, where no rank can stop by itself, they take part as often as would have filled the round
//! at the pace of the one before.
//!
//! In each section under a mutex or a permit a counter in the host's shared memory grows by one, with a load and a store
//! that are not atomic together. After each round it must be the number of operations, or the benchmark fails. After each
//! round in which all ranks take part some more sections, turns or barriers follow whose times are noted. By these it is
//! checked that no two sections touch each other, on whatever hosts they were, that turns came in the order of ranks, and that
//! no rank went from a barrier before the last had come.
//!
//! glibc's mutex, semaphore and barrier are in memory of one host, and only measured there. Their ranks sleep while they
//! wait, and let the kernel wake them.
//!
//! `pshmem` (its `MPILock`) and `mpi4py` (`mpi4py.util.sync`) have jobs of their own on the same number of ranks, since they
//! are written in Python; `cargo xtask bench sync` runs them right before, with as many rounds of the same length, and their
//! rounds come in by `--with`. What is counted is the same, and exclusion is checked in the same way. A `Sequential` of mpi4py
//! goes through the ranks once; so that one turn follows the other, the last rank tells the first by an empty message when
//! that may begin again. Where one rank works alone, the others stay inside MPI if its windows need that, which they do over
//! several hosts and with MPICH. `MPILock` reads what it has asked for before it must be there: it is measured with Open MPI
//! and on one host, where it is there at once.
//!
//! Over several hosts the one that works alone is the last rank, which is not on the first one's host. Open MPI 4 has no
//! windows there: what needs them is left out. So are the mutex and the semaphore of mpi4py where ranks contend for them with
//! MPICH 4, in which they fail.
//!
//! Compare figures of one run only, and by their ratio: `mpisync/it` below 1 means that mpisync is faster.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync_bench::lock::Windows;
use mpisync_bench::program::{self, Selection};
use mpisync_bench::sync::{Case, Name};
use mpisync_bench::team::Team;
use mpisync_bench::turns::measure;

/// Length of a round.
const ROUND: Duration = Duration::from_millis(80);

/// Measures mpisync's smaller shared things beside others, on the ranks of this MPI job.
#[derive(Parser)]
#[command(name = "sync")]
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
            selection.subjects(|name| name.is_here() && name.is_fit(case, team.hosts(), windows));
        let make = |name: Name| name.make(case, &team);
        outcomes.extend(measure(case, &subjects, selection.rounds, &team, make));
    }
    if world.rank() == 0 {
        selection.conclude(outcomes, &setting)?;
    }
    team.disband();
    Ok(())
}
