//! Compares the Python package with the Python packages that it replaces: the same cases for every
//! package, each in a job of its own on the same number of ranks.
//!
//! ```text
//! cargo xtask bench python [--ranks N] [--json FILE] [-- --rounds N --cases CASE,… --subjects SUBJECT,…]
//! ```
//!
//! # The figures
//! Nanoseconds per operation of Python.
//!
//! - `read_alone`, `read_all`: a rank, or every rank at once, holds a read lock in a `with` block
//!   and looks at a number in it. With all ranks, the figure is the elapsed time divided by the
//!   operations of all ranks together.
//! - `write_alone`, `write_all`: the same with a write lock, under which a shared number is
//!   incremented.
//! - `single_write`: rank 0 has a number, and all ranks get it.
//! - `mutex_alone`, `mutex_all`, `counter`, `semaphore_alone`, `semaphore_all` and `turn` are those
//!   of the benchmark `sync`, `set_120` and `set_8000000` those of `region`, `stream_8` and
//!   `stream_65536` those of `channel`, and `tasks_3000` that of `batch`.
//!
//! # Method
//! The subjects are programs in Python, which share the code of their rounds and of the checks in
//! them. `cargo xtask bench python` runs a job of each, one after the other, with as many rounds of
//! the same length, and passes their rounds to this program by `--with`, which prints them side by
//! side. mpisync is built with optimization. A package is left out on hosts and MPIs that it does
//! not work with; the benchmarks `sync` and `channel` say why.
//!
//! Compare figures of one run only, by their ratio: `mpisync/it` below 1 means that mpisync is
//! faster.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync_bench::program::{self, Selection};
use mpisync_bench::python::{Case, Name};
use mpisync_bench::team::Team;

/// Prints what mpisync and other packages take in Python, which jobs of their own have measured.
#[derive(Parser)]
#[command(name = "python")]
struct Options {
    #[command(flatten)]
    selection: Selection<Case, Name>,
}

fn main() -> ExitCode {
    program::main(|_: &Options| false, run)
}

fn run(options: &Options, world: &SimpleCommunicator) -> anyhow::Result<()> {
    let selection = &options.selection;
    ensure!(
        !selection.with.is_empty(),
        "nothing was measured; `cargo xtask bench python` runs the programs in Python"
    );
    let team = Team::new(world, Duration::ZERO);
    let setting = program::setting(world, team.hosts())?;
    team.disband();
    if world.rank() == 0 {
        selection.conclude(Vec::new(), &setting)?;
    }
    Ok(())
}
