//! A parameter sweep that can be killed at any moment, and continues when it is started again.
//!
//! Each task of a `Batch` computes the behaviour of the logistic map for one parameter; some take
//! ten times as long as others. Workers of two ranks share a task. The results go into one ordinary
//! HDF5 file, which one rank at a time writes under the write lock.
//!
//! ```sh
//! cargo xtask run -n 4 parameter_sweep sweep
//! cargo xtask run -n 4 parameter_sweep sweep --check
//! ```
//!
//! The batch keeps the states of the tasks in the directory. A task is done once its result is in
//! the file: after a job that was killed in between, the task runs again and writes the same
//! result. The module `store` describes how the file survives the death of its writer.
//!
//! With `--fail 17` a task fails. It does not run again when the job is started again, unless with
//! `--retry-failed`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use mpisync::{
    batch::{Again, State, Summary},
    prelude::*,
};
use mpisync_examples::{cli, results};

mod alone;
mod check;
mod map;
mod store;

use map::Parameter;
use store::Store;

/// Runs a sweep over a parameter, and continues one that was killed
#[derive(Parser)]
struct Args {
    /// The directory with the states of the tasks
    dir: PathBuf,
    /// The HDF5 file with the results; defaults to `results.h5` in the directory
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Number of tasks
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tasks: u32,
    /// Ranks of a worker; 1 if the number of ranks is no multiple of it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(i32).range(1..))]
    worker_size: i32,
    /// Let this task fail; may be given several times
    #[arg(long, value_name = "TASK")]
    fail: Vec<usize>,
    /// Run failed tasks again
    #[arg(long)]
    retry_failed: bool,
    /// Only compare the file with a direct computation
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    results::disable_hdf5_file_locks();
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    ensure!(
        !args.check || args.dir.is_dir(),
        "there is no directory {}",
        args.dir.display()
    );
    let mut ctrl = mpisync::sync(world)?;
    let store = args.store();
    let _alone = alone::enter(&mut ctrl, store.path())?;
    let summary = if args.check {
        check::check(&mut ctrl, &args.dir, &store)?
    } else {
        go_on(world, &mut ctrl, args, &store)?
    };
    ctrl.close()?;
    Ok(summary)
}

impl Args {
    fn store(&self) -> Store {
        let default = || self.dir.join("results.h5");
        Store::new(self.file.clone().unwrap_or_else(default), self.tasks())
    }

    fn tasks(&self) -> usize {
        self.tasks as usize
    }

    fn worker_size(&self, ranks: i32) -> i32 {
        let is_multiple = ranks % self.worker_size == 0;
        if is_multiple { self.worker_size } else { 1 }
    }
}

/// Runs the remaining tasks.
fn go_on(
    world: &SimpleCommunicator,
    ctrl: &mut WindowController,
    args: &Args,
    store: &Store,
) -> anyhow::Result<String> {
    for task in &args.fail {
        ensure!(
            *task < args.tasks(),
            "there is no task {task} that could fail"
        );
    }
    refuse_others(ctrl, store)?;
    let batch = Batch::builder(world)
        .worker_size(args.worker_size(world.size()))
        .name("sweep")
        .tasks(args.tasks())
        .state_dir(&args.dir)
        // A task takes a few milliseconds, and a flush to the disk about as long. So a host that
        // loses power may lose tasks; a job that is killed does not. Remove this line if tasks take
        // longer.
        .durable(false)
        .build()?;
    let before = prepare(ctrl, &batch, store)?;
    let progress = batch.progress();
    let start = Instant::now();
    let batch = sweep(ctrl, batch, args, store)?;
    let took = start.elapsed();
    progress.finish();
    let summary = sum_up(ctrl, &batch, &before, took)?;
    batch.close()?;
    Ok(summary)
}

/// One rank checks that the file does not belong to another sweep, before folders for this one are
/// made.
#[mpisync::single_write]
fn refuse_others(ctrl: &mut WindowController, store: &Store) -> anyhow::Result<()> {
    store.names().map(drop)
}

/// One rank ensures that the file has the results of the tasks that are done; all return their
/// number.
#[mpisync::single_write]
fn prepare(ctrl: &mut WindowController, batch: &Batch, store: &Store) -> anyhow::Result<Summary> {
    let mut done = Vec::new();
    for task in 0..batch.tasks() {
        if batch.state(task)? == State::Done {
            done.push((task, batch.name(task)?));
        }
    }
    let is_complete = store
        .names()?
        .is_some_and(|names| names.iter().eq(done.iter().map(|(_, name)| name)));
    if !is_complete {
        let root = batch
            .directory()
            .context("the batch has a directory")?
            .root();
        // A task whose result is lost has to run again, even if it is done.
        let (found, lost): (Vec<_>, Vec<_>) =
            (done.into_iter()).partition(|(_, name)| store.has_copy(&root.join(name)));
        for (task, _) in lost {
            batch.set_state(task, State::Open)?;
        }
        store.build(root, found.iter().map(|(_, name)| name.as_str()))?;
    }
    Ok(batch.summary()?)
}

/// All workers run tasks until none is left.
///
/// The batch is passed by value and returned, so that a rank on which something fails drops it.
/// That notifies the other ranks of its worker, which wait for its next task.
#[mpisync::collective]
fn sweep(
    ctrl: &mut WindowController,
    mut batch: Batch,
    args: &Args,
    store: &Store,
) -> anyhow::Result<Batch> {
    let again = Again {
        failed: args.retry_failed,
        ..Again::default()
    };
    loop {
        while let Some(task) = batch.next_task_with(again)? {
            let is_first = task.worker().rank() == 0;
            if args.fail.contains(&task.index()) {
                task.failed("requested by --fail")?;
            } else {
                // All ranks of the worker compute, the first one writes.
                let parameter = Parameter::of(task.index(), args.tasks());
                let outcome = parameter.outcome_with(task.worker().comm());
                if is_first {
                    let folder = task.directory().context("the task has a folder")?;
                    store.keep_copy(&folder, &task.name(), &outcome)?;
                    let alone = ctrl.write();
                    store.add(&task.name(), &outcome)?;
                    drop(alone);
                }
                // Only after the result is in the file.
                task.done()?;
            }
        }
        // A task whose worker died is open again.
        if batch.wait_all()?.open == 0 {
            break;
        }
    }
    Ok(batch)
}

/// One rank counts the outcomes of the tasks; all return the summary.
#[mpisync::single_write]
fn sum_up(
    ctrl: &mut WindowController,
    batch: &Batch,
    before: &Summary,
    took: Duration,
) -> anyhow::Result<String> {
    let after = batch.summary()?;
    let (ranks, workers) = (batch.size(), batch.n_workers());
    let mut text = format!("ranks: {ranks}; workers: {workers}; in {took:.3?}\n");
    let directory = batch.directory().context("the batch has a directory")?;
    for task in 0..batch.tasks() {
        if batch.state(task)? == State::Failed {
            let reason = directory.reason(task).unwrap_or_default();
            text += &format!("task {} has failed: {reason}\n", batch.name(task)?);
        }
    }
    for problem in batch.problems() {
        text += &format!("{problem}\n");
    }
    let now = after.done - before.done;
    text += &format!(
        "done before: {}; done now: {now}; failed: {}",
        before.done, after.failed
    );
    if after.invalid > 0 {
        text += &format!("; with a state that cannot be read: {}", after.invalid);
    }
    Ok(text)
}

/// `path` with `ending` appended.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
