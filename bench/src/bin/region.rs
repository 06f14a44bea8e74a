//! What it costs to give an array to all ranks: the same cases for every subject, on the same ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 region [--json FILE] [--rounds N] [--cases set_120,row_of_8000000] [--subjects mpi_bcast]
//! ```
//!
//! # The figures
//! Nanoseconds an operation. Arrays are of `f64`, and the number is their bytes.
//!
//! - `set_BYTES`: the first rank has items for the whole array in its own memory, and all ranks get them, again and again;
//!   the time until the last rank had the last ones, divided by how often it was. With mpisync it is `Region::set`.
//! - `row_of_8000000`: one rank writes one row after the other of 1,000 rows of 8,000 bytes. With mpisync it does so by
//!   itself, under the write lock, and the other ranks sleep; they take part with `pshmem`, `mpi_bcast` and
//!   `mpi_win_shared`. `mpi_send` gives the row to one other rank, which answers.
//! - `sum_8000000`: one rank adds all items up; the others sleep. With mpisync it takes the read lock for it. Beside it the
//!   same by a pointer into memory of its own (`raw_pointer`).
//!
//! `memcpy` copies the same number of bytes from one array to another within one process, while the other ranks sleep: less
//! than that nobody can take whose items are moved once. `mpi_bcast` gives every rank a copy of its own, and makes no rank
//! wait for the others; in the others, each node has one copy, and no rank goes on before the items are there. So sets of a
//! few bytes by `mpi_bcast` overlap, and those of the others do not.
//!
//! # How they are taken
//! As in the benchmark of locks: the subjects take turns, round after round, and all ranks start a round at one moment of
//! the clock they share. Where one rank works alone it stops at another. Where all take part they do so as often as would
//! have filled the round at the pace of the one before. A round takes 80 ms, with arrays of 8 MB 200 ms and with larger
//! ones 600 ms, of which a third as many are measured.
//!
//! The first and the last of the items that are written bear the number of the operation, and after each round every rank
//! that has them checks that they are those written last.
//!
//! Over several hosts the rank that works alone, or has a row, is the last, which is not on the first one's host.
//! `mpi_win_shared` is measured on one host only. `pshmem` has a job of its own on the same number of ranks, since it is
//! written in Python; `cargo xtask bench region` runs it right before, with as many rounds of the same length, and its
//! rounds come in by `--with`.
//!
//! The largest arrays take about 160 MB for each subject and rank.
//!
//! Compare figures of one run only, and by their ratio: `mpisync/it` below 1 means that mpisync is faster.

use std::process::ExitCode;

use clap::Parser;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync_bench::program::{self, Selection};
use mpisync_bench::region::{Case, Name};
use mpisync_bench::team::Team;
use mpisync_bench::turns::measure;

/// Measures mpisync's region beside others, on the ranks of this MPI job.
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
