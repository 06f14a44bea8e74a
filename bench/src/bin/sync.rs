//! Measures the cost of mutexes, semaphores, counters, turns and barriers: the same cases for every
//! subject, on the same ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 sync [--json FILE] [--rounds N] [--cases mutex_all,turn] [--subjects mpi_fetch_and_op]
//! ```
//!
//! # The figures
//! Nanoseconds per operation.
//!
//! - `mutex_alone`: one rank locks and unlocks a mutex, the others sleep. The figure is the time
//!   that one rank needs.
//! - `mutex_all`: all ranks do so all the time. The figure is the elapsed time divided by the
//!   operations of all ranks together.
//! - `counter`: all ranks take the next number all the time. The figure is the elapsed time divided
//!   by the numbers that all ranks took. After each round their count must be the increase of the
//!   counter.
//! - `semaphore_alone`, `semaphore_all`: as with the mutex, with a semaphore of one permit that is
//!   acquired and released.
//! - `turn`: each rank in order has an empty turn, and the first rank follows the last one. The
//!   figure is the elapsed time divided by the turns of all ranks together: the time of a handover.
//! - `barrier`: all ranks wait at a barrier, repeatedly. The figure is the time from one barrier to
//!   the next.
//!
//! `mpi_messages` is the lower bound for programs that use only messages between waiting ranks. For
//! `turn`, an empty message goes around the ring by blocking `MPI_Send` and `MPI_Recv`; for
//! `barrier`, ranks call `MPI_Sendrecv` until each rank has heard of all others. The ratio of
//! mpisync's figures to its figures shows how close mpisync is to the latency of the network. On
//! one host mpisync may be faster, because it uses shared memory.
//!
//! # Method
//! The subjects take turns, round after round, and all ranks start a round at the same moment of
//! their common clock and stop at another. In `turn` and `barrier`, in which no rank can stop by
//! itself, the ranks repeat the operation as often as would have filled the round at the pace of
//! the previous one.
//!
//! Each section under a mutex or a permit increments a counter in the host's shared memory, by a
//! load and a store that are not atomic together. After each round it must be the number of
//! operations, or the benchmark fails. Each round in which all ranks take part is followed by some
//! more sections, turns or barriers, whose times are recorded. From these the program checks that
//! no two sections overlap, on any hosts, that turns come in the order of the ranks, and that no
//! rank leaves a barrier before the last one has arrived.
//!
//! glibc's mutex, semaphore and barrier are in the memory of one host, and are measured there only.
//! Their ranks sleep while they wait, and are woken by the kernel.
//!
//! `pshmem` (its `MPILock`) and `mpi4py` (`mpi4py.util.sync`) are written in Python and run in jobs
//! of their own on the same number of ranks. `cargo xtask bench sync` runs these jobs right before,
//! with as many rounds of the same length, and passes their rounds by `--with`. They count the same
//! operations and check exclusion in the same way. A `Sequential` of mpi4py passes through the
//! ranks once; to let the turns continue, the last rank sends the first one an empty message. While
//! one rank works alone, the others stay inside MPI if its windows need that, as they do over
//! several hosts and with MPICH. `MPILock` reads the results of its one-sided calls before MPI
//! guarantees that they are there, so it is measured with Open MPI and on one host only, where they
//! are there at once.
//!
//! Over several hosts, the last rank works alone, because it is not on the first rank's host. Open
//! MPI 4 has no windows there, so the subjects that need them are left out. With MPICH 4, so are
//! the contended mutex and semaphore of mpi4py, which fail there.
//!
//! Compare figures of one run only, by their ratio: `mpisync/it` below 1 means that mpisync is
//! faster.

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

/// The length of a round.
const ROUND: Duration = Duration::from_millis(80);

/// Measures mpisync's mutex, semaphore, counter, turn and barrier and other implementations, on the
/// ranks of this MPI job.
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
