//! What a task costs that has nothing to do: the same cases for every subject, on the same ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 batch [--json FILE] [--rounds N] [--dir DIR] [--cases tasks_1000,tasks_1000_dir] [--subjects mpisync]
//! ```
//!
//! # The figures
//! Nanoseconds a task: the time from a barrier until every rank has found that no task is left, divided by the number
//! of tasks. Each of them is taken, and is done at once.
//!
//! - `tasks_N`: the states of N tasks are in memory, and each rank takes tasks by itself.
//! - `tasks_N_pairs`: two ranks take tasks together, with one such worker for each two ranks. Left out where their
//!   number is odd.
//! - `tasks_N_dir`: the states are in a directory, and a change is on the disk before it counts (`fsync`).
//! - `tasks_N_dir_nosync`: the same without `fsync`; with mpisync by `durable(false)`.
//!
//! `file_operations` is what mpisync asks of the file system for such tasks, one call after the other and nothing else.
//! The ranks share the tasks by a number in memory that they count up. No program can do with less that makes these
//! calls. It is measured on one host only.
//!
//! `pshmem` looks at all tasks from the first on when it takes one, so that a task costs more the more there are: it is
//! measured with 3,000 at most, and with these in a directory, which takes minutes, only where `--cases` names them. It
//! writes files without `fsync`, and has no other way; its figures in `tasks_N_dir` are those of `tasks_N_dir_nosync`,
//! and to be compared with these.
//!
//! # How they are taken
//! In each round a subject makes its tasks anew, which is not measured, and goes through them once. The subjects take
//! turns, round after round. There are as many rounds as are asked for, and more where they take microseconds; after 10
//! seconds, or 15 with a directory, no further one begins. The first is not counted, but where it took that long.
//!
//! Directories are new for each round, on a disk: beside this program, if not said otherwise. What was written to make
//! them, and to remove those of the round before, is on the disk before a round is measured. The output says which file
//! system it is.
//!
//! After each round it is checked that each task was taken once and is done.
//!
//! `pshmem` has a job of its own on the same number of ranks, since it is written in Python; `cargo xtask bench batch`
//! runs it right before, with rounds in the same way for 5 seconds, and they come in by `--with`. It reads what it has
//! asked for before it must be there: it is measured with Open MPI and on one host, where it is there at once.
//!
//! Over several hosts the ranks of the first one's host reach the states in its memory and take nearly all tasks, since a
//! task is over in less time than a message takes.
//!
//! How near the cores are to each other decides most of the figures in memory. Compare figures of one run only, and by
//! their ratio: `mpisync/it` below 1 means that mpisync is faster.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync_bench::batch::{Case, Name, folders};
use mpisync_bench::program::{self, Selection};
use mpisync_bench::team::Team;
use mpisync_bench::turns::measure_within;

/// Measures mpisync's batches beside others, on the ranks of this MPI job.
#[derive(Parser)]
#[command(name = "batch")]
struct Options {
    #[command(flatten)]
    selection: Selection<Case, Name>,
    /// Put state directories into DIR, which all ranks can reach; if not said, beside this program
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Options {
    /// Where state directories are made.
    fn parent(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.dir {
            return std::path::absolute(dir).context("there is no current directory");
        }
        let program = std::env::current_exe().context("nobody knows where this program is")?;
        let parent = program
            .parent()
            .context("this program is in no directory")?;
        Ok(parent.to_owned())
    }
}

fn main() -> ExitCode {
    program::main(|_: &Options| false, run)
}

fn run(options: &Options, world: &SimpleCommunicator) -> anyhow::Result<()> {
    let selection = &options.selection;
    let team = Team::new(world, Duration::ZERO);
    let setting = program::setting(world, team.hosts())?;
    let parent = options.parent()?;
    let cases = selection.cases();
    let mut outcomes = Vec::new();
    for &case in &cases {
        let subjects = selection
            .subjects(|name| name.is_here() && name.is_fit(case, world.size(), team.hosts()));
        let (rounds, limit) = (case.rounds(selection.rounds), case.limit());
        let make = |name: Name| name.make(case, &parent, &team);
        outcomes.extend(measure_within(limit, case, &subjects, rounds, &team, make));
    }
    if world.rank() == 0 {
        if cases.iter().any(|case| case.durable().is_some()) {
            let kind = folders::kind(&parent);
            let kind = kind.as_deref().unwrap_or("an unknown file system");
            println!("state directories in {}, {kind}", parent.display());
        }
        selection.conclude(outcomes, &setting)?;
    }
    team.disband();
    Ok(())
}
