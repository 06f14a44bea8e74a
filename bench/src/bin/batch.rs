//! Measures the cost of a task that does nothing: the same cases for every subject, on the same
//! ranks, in one run.
//!
//! ```text
//! mpiexec -n 2 batch [--json FILE] [--rounds N] [--dir DIR] [--cases tasks_1000,tasks_1000_dir] [--subjects mpisync]
//! ```
//!
//! # The figures
//! Nanoseconds per task: the time from a barrier until every rank has found that no task is left,
//! divided by the number of tasks. Each task is taken, and ended as done at once.
//!
//! - `tasks_N`: the states of N tasks are in memory, and each rank takes tasks by itself.
//! - `tasks_N_pairs`: workers of two ranks take the tasks. Skipped if the number of ranks is odd.
//! - `tasks_N_dir`: the states are in a directory, and each change is flushed to the disk
//!   (`fsync`).
//! - `tasks_N_dir_nosync`: the same without `fsync`; with mpisync by `durable(false)`.
//!
//! `file_operations` performs only the file operations that mpisync needs for these tasks, one
//! after the other. Its ranks share the tasks by incrementing a number in shared memory. It is the
//! lower bound for a program that makes these calls. It is measured on one host only.
//!
//! `pshmem` searches all tasks from the first one whenever it takes one, so its cost per task grows
//! with the number of tasks. It is measured with at most 3,000 tasks; with 3,000 in a directory,
//! which takes minutes, only if `--cases` names the case. It never calls `fsync`: its figures in
//! `tasks_N_dir` are those of `tasks_N_dir_nosync` and must be compared with these.
//!
//! # Method
//! In each round a subject makes its tasks anew, which is not measured, and takes all of them once.
//! The subjects take turns, round after round. The number of rounds is the requested one, and
//! higher for cases that take microseconds; after 10 seconds, or 15 with a directory, no further
//! round begins. The first round is not counted, unless it alone took that long.
//!
//! Each round uses a new directory on a disk, by default beside this program. Before a round is
//! measured, the changes of its preparation and of the removal of the previous directory are
//! flushed to the disk. The output names the file system.
//!
//! After each round the program checks that each task was taken once and is done.
//!
//! `pshmem` is written in Python and runs in a job of its own on the same number of ranks.
//! `cargo xtask bench batch` runs that job right before, with rounds of the same kind for 5
//! seconds, and passes its rounds by `--with`. pshmem reads the results of its one-sided calls
//! before MPI guarantees that they are there, so it is measured with Open MPI and on one host only,
//! where they are there at once.
//!
//! Over several hosts, the ranks of the first host access the states in memory and take nearly all
//! tasks, because a task takes less time than a message.
//!
//! Most figures in memory depend on the distance between the cores. Compare figures of one run
//! only, by their ratio: `mpisync/it` below 1 means that mpisync is faster.

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

/// Measures mpisync's batches and other implementations, on the ranks of this MPI job.
#[derive(Parser)]
#[command(name = "batch")]
struct Options {
    #[command(flatten)]
    selection: Selection<Case, Name>,
    /// Make state directories in DIR, which all ranks must reach; defaults to this program's
    /// directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Options {
    /// The directory in which state directories are made.
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
