//! Measures the cost of giving an array to all ranks: the same cases for every subject, on the same
//! ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 region [--json FILE] [--rounds N] [--cases set_120,row_of_8000000] [--subjects mpi_bcast]
//! ```
//!
//! # The figures
//! Nanoseconds per operation. The items are `f64`, and the number in the name is the array's size
//! in bytes.
//!
//! - `set_BYTES`: the first rank has items for the whole array in its own memory, and all ranks get
//!   them, repeatedly. The figure is the time until the last rank has the last items, divided by
//!   the number of repetitions. With mpisync it is `Region::set`.
//! - `row_of_8000000`: one rank writes the 1,000 rows of 8,000 bytes one after the other. With
//!   mpisync it does so alone, under the write lock, and the other ranks sleep; with `pshmem`,
//!   `mpi_bcast` and `mpi_win_shared` they take part. `mpi_send` sends the row to one other rank,
//!   which replies.
//! - `sum_8000000`: one rank adds up all items; the others sleep. With mpisync it holds the read
//!   lock. `raw_pointer` does the same by a pointer to private memory.
//!
//! `memcpy` copies the same number of bytes from one array to another within one process, while the
//! other ranks sleep. It is the lower bound for a subject that moves the items once. `mpi_bcast`
//! gives each rank its own copy, and no rank waits for the others. With the other subjects, each
//! node has one copy, and no rank continues before the items are there. So small sets overlap with
//! `mpi_bcast`, and do not with the others.
//!
//! # Method
//! As in the benchmark of locks, the subjects take turns, round after round, and all ranks start a
//! round at the same moment of their common clock. A rank that works alone stops at another moment.
//! If all ranks take part, they repeat the operation as often as would have filled the round at the
//! pace of the previous one. A round takes 80 ms, 200 ms with arrays of 8 MB, and 600 ms with
//! larger ones, for which a third of the rounds is measured.
//!
//! The first and the last written item have the number of the operation. After each round every
//! rank that has them checks that they are those of the last write.
//!
//! Over several hosts, the rank that works alone, or has a row, is the last one, because it is not
//! on the first rank's host. `mpi_win_shared` is measured on one host only. `pshmem` is written in
//! Python and runs in a job of its own on the same number of ranks. `cargo xtask bench region` runs
//! that job right before, with as many rounds of the same length, and passes its rounds by
//! `--with`.
//!
//! The largest arrays take about 160 MB per subject and rank.
//!
//! Compare figures of one run only, by their ratio: `mpisync/it` below 1 means that mpisync is
//! faster.

use std::process::ExitCode;

use clap::Parser;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync_bench::program::{self, Selection};
use mpisync_bench::region::{Case, Name};
use mpisync_bench::team::Team;
use mpisync_bench::turns::measure;

/// Measures mpisync's region and other implementations, on the ranks of this MPI job.
#[derive(Parser)]
#[command(name = "region")]
struct Options {
    #[command(flatten)]
    selection: Selection<Case, Name>,
}

fn main() -> ExitCode {
    program::main(|_: &Options| false, run)
}

fn run(options: &Options, world: &SimpleCommunicator) -> anyhow::Result<()> {
    let selection = &options.selection;
    let mut hosts = 0;
    let mut outcomes = Vec::new();
    for case in selection.cases() {
        let team = Team::new(world, case.round());
        hosts = team.hosts();
        let subjects = selection.subjects(|name| {
            name.is_here() && name.takes(case) && name.is_fit(world.size(), hosts)
        });
        let rounds = case.rounds(selection.rounds);
        let make = |name: Name| name.make(case, &team);
        outcomes.extend(measure(case, &subjects, rounds, &team, make));
        team.disband();
    }
    if world.rank() > 0 {
        return Ok(());
    }
    let setting = program::setting(world, hosts)?;
    selection.conclude(outcomes, &setting)
}
