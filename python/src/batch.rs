//! The batch: tasks for groups of ranks.

use crate::errors::{exception, text_of};
use crate::limit::timeout;
use crate::object::Own;
use mpisync::batch::{Again, State, Summary};
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::held::{self, Held};
use mpisync_bindings::limit::limit;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Tasks that groups of ranks, the workers, take one after the other.
#[pyclass(frozen, module = "mpisync", name = "TaskTable")]
pub struct Batch {
    own: Own<Held<mpisync::Batch>>,
    tasks: usize,
    workers: i32,
    /// The number of this rank's worker, this rank's number in it, and its number of ranks.
    worker: (i32, i32, i32),
}

/// The numbers of tasks in each state: open, running, done, failed, invalid.
type Counts = (u64, u64, u64, u64, u64);

fn counts(summary: Summary) -> Counts {
    let Summary {
        open,
        running,
        done,
        failed,
        invalid,
        ..
    } = summary;
    (open, running, done, failed, invalid)
}

/// How many ranks each worker has.
#[derive(FromPyObject)]
enum Workers {
    Equal(i32),
    Sizes(Vec<i32>),
    /// `"node"`
    PerNode(String),
}

/// The tasks of a batch.
#[derive(FromPyObject)]
enum Tasks {
    Count(usize),
    Names(Vec<String>),
}

fn again(running: bool, failed: bool, done: bool) -> Again {
    let mut again = Again::default();
    (again.running, again.failed, again.done) = (running, failed, done);
    again
}

/// The batch, also while this rank has tasks of it.
fn with<R>(
    held: &mut Held<mpisync::Batch>,
    look: impl FnOnce(&mpisync::Batch) -> R,
) -> Result<R, Failure> {
    match held.is_held() {
        true => held.with_guard(|tasks| look(tasks[0].batch())),
        false => held.owner().map(|batch| look(batch)),
    }
}

/// Takes tasks for this rank's worker, unless this rank has some.
fn take(
    slf: &Bound<'_, Batch>,
    take: impl for<'a> FnOnce(&'a mut mpisync::Batch) -> Result<Option<Vec<mpisync::Task<'a>>>, Failure>
    + Send,
) -> PyResult<Vec<Task>> {
    let found = slf.get().own.wait(slf.py(), move |held| {
        if !held.hold_some(take)? {
            return Ok(Vec::new());
        }
        held.with_guard(|tasks| {
            let facts = |task: &mpisync::Task<'_>| {
                let was = task.was().to_string();
                (
                    task.index(),
                    task.name(),
                    task.directory(),
                    task.attempt(),
                    was,
                )
            };
            tasks.iter().map(facts).collect::<Vec<_>>()
        })
    })?;
    let task = |(index, name, directory, attempt, was)| Task {
        table: slf.clone().unbind(),
        index,
        name,
        directory,
        attempt,
        was,
        has_ended: AtomicBool::new(false),
    };
    Ok(found.into_iter().map(task).collect())
}

#[pymethods]
impl Batch {
    #[new]
    #[pyo3(signature = (comm, tasks, *, worker_size, state_dir, name, root, durable, strict, stale_after, tries, task_timeout, initial_states = None))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn new(
        comm: &Bound<'_, PyAny>,
        tasks: Tasks,
        worker_size: Workers,
        state_dir: Option<PathBuf>,
        name: Option<String>,
        root: i32,
        durable: bool,
        strict: bool,
        stale_after: Option<f64>,
        tries: Option<u32>,
        task_timeout: Option<f64>,
        initial_states: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let py = comm.py();
        let states = initial_states.map(|words| {
            let states = words.iter().map(|word| word.parse::<State>());
            states.collect::<Result<Vec<State>, _>>()
        });
        let states = states.transpose().map_err(|unknown| {
            let failure = Failure::argument(unknown.to_string());
            exception(py, failure, name.as_deref())
        })?;
        let duration = |seconds: Option<f64>| -> PyResult<Option<Duration>> {
            let limit = seconds.map(limit).transpose();
            limit.map_err(|failure| exception(py, failure, name.as_deref()))
        };
        let (stale_after, task_timeout) = (duration(stale_after)?, duration(task_timeout)?);
        if let Workers::PerNode(word) = &worker_size
            && word != "node"
        {
            let message = format!(
                "`worker_size` is {word:?}; pass a number of ranks, the numbers of all workers, or \"node\""
            );
            return Err(exception(py, Failure::argument(message), name.as_deref()));
        }
        let own = Own::make(comm, name.clone(), move |comm, name| {
            macro_rules! options {
                ($builder:expr) => {{
                    let mut builder = $builder.name(name).durable(durable).strict(strict);
                    builder = match tasks {
                        Tasks::Count(count) => builder.tasks(count),
                        Tasks::Names(names) => builder.names(names),
                    };
                    if let Some(states) = states {
                        builder = builder.initial_states(states);
                    }
                    if let Some(directory) = state_dir {
                        builder = builder.state_dir(directory);
                    }
                    if let Some(time) = stale_after {
                        builder = builder.stale_after(time);
                    }
                    if let Some(tries) = tries {
                        builder = builder.tries(tries);
                    }
                    if let Some(limit) = task_timeout {
                        builder = builder.task_timeout(limit);
                    }
                    builder
                }};
            }
            let batch = match comm {
                Some(comm) => {
                    let builder = options!(mpisync::Batch::builder(comm).root(root));
                    match worker_size {
                        Workers::Equal(ranks) => builder.worker_size(ranks),
                        Workers::Sizes(sizes) => builder.worker_sizes(sizes),
                        Workers::PerNode(_) => builder.worker_per_node(),
                    }
                    .build()?
                }
                None => options!(mpisync::Batch::local()).build()?,
            };
            Ok(Held::new(batch))
        })?;
        let facts = |held: &mut Held<mpisync::Batch>| {
            let batch = held.owner()?;
            let worker = batch.worker();
            let worker = (worker.number(), worker.rank(), worker.size());
            Ok((batch.tasks(), batch.n_workers(), worker))
        };
        let (tasks, workers, worker) = own.with(py, facts)?;
        Ok(Batch {
            own,
            tasks,
            workers,
            worker,
        })
    }

    /// The next task of this rank's worker; None if none is open now.
    #[pyo3(signature = (*, running = false, failed = false, done = false))]
    fn next_task(
        slf: &Bound<'_, Self>,
        running: bool,
        failed: bool,
        done: bool,
    ) -> PyResult<Option<Task>> {
        let again = again(running, failed, done);
        let found = take(slf, move |batch| {
            let task = batch.next_task_with(again)?;
            Ok(task.map(|task| vec![task]))
        })?;
        Ok(found.into_iter().next())
    }

    /// The next tasks of this rank's worker; an empty list if none is open now.
    #[pyo3(signature = (most, *, running = false, failed = false, done = false))]
    fn next_tasks(
        slf: &Bound<'_, Self>,
        most: usize,
        running: bool,
        failed: bool,
        done: bool,
    ) -> PyResult<Vec<Task>> {
        let again = again(running, failed, done);
        take(slf, move |batch| Ok(batch.next_tasks_with(most, again)?))
    }

    #[pyo3(signature = (timeout = None))]
    fn wait_all(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Counts> {
        let limit = self::timeout(py, timeout)?.duration();
        self.own.wait(py, move |held| {
            Ok(counts(held.owner()?.wait_all_timeout(limit)?))
        })
    }

    fn summary(&self, py: Python<'_>) -> PyResult<Counts> {
        self.own
            .wait(py, |held| Ok(counts(with(held, |batch| batch.summary())??)))
    }

    fn state(&self, py: Python<'_>, task: usize) -> PyResult<String> {
        self.own.wait(py, move |held| {
            Ok(with(held, |batch| batch.state(task))??.to_string())
        })
    }

    fn set_state(&self, py: Python<'_>, task: usize, state: &str) -> PyResult<()> {
        let state: State = state
            .parse()
            .map_err(|unknown: mpisync::batch::UnknownWord| {
                self.own
                    .exception(py, Failure::argument(unknown.to_string()))
            })?;
        self.own.wait(py, move |held| {
            Ok(with(held, |batch| batch.set_state(task, state))??)
        })
    }

    fn task_name(&self, py: Python<'_>, task: usize) -> PyResult<String> {
        self.own
            .with(py, |held| Ok(with(held, |batch| batch.name(task))??))
    }

    fn problems(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.own.with(py, |held| {
            let problems = with(held, |batch| batch.problems())?;
            Ok(problems.iter().map(ToString::to_string).collect())
        })
    }

    /// The workers of all ranks end the tasks that they have, and take no more.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.own.wait(py, |held| with(held, |batch| batch.stop()))
    }

    #[getter]
    fn stopped(&self, py: Python<'_>) -> PyResult<bool> {
        self.own.wait(py, |held| {
            Ok(with(held, |batch| batch.stopped())??.is_some())
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.own
            .close(py, held::take_free::<mpisync::Batch>, |batch| {
                Ok(batch.close()?)
            })
    }

    fn __len__(&self) -> usize {
        self.tasks
    }

    #[getter]
    fn workers(&self) -> i32 {
        self.workers
    }

    #[getter]
    fn worker(&self) -> (i32, i32, i32) {
        self.worker
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }
}

/// A task that this rank's worker has.
#[pyclass(frozen, module = "mpisync")]
pub struct Task {
    table: Py<Batch>,
    #[pyo3(get)]
    index: usize,
    #[pyo3(get)]
    name: String,
    #[pyo3(get)]
    directory: Option<PathBuf>,
    #[pyo3(get)]
    attempt: Option<u32>,
    #[pyo3(get)]
    was: String,
    /// Changed by the thread of the batch only.
    has_ended: AtomicBool,
}

/// What became of a task.
enum Outcome {
    Done,
    Failed(String),
    Open,
}

impl Task {
    fn end(&self, py: Python<'_>, outcome: Outcome) -> PyResult<()> {
        let own = &self.table.get().own;
        if self.has_ended.load(Ordering::Relaxed) {
            return Err(own.misuse(py, "the task has ended; take the next one"));
        }
        let index = self.index;
        own.wait(py, move |held| {
            held.release(|mut tasks, kept| {
                let found = tasks.iter().position(|task| task.index() == index);
                let task = found.map(|place| tasks.remove(place));
                *kept = (!tasks.is_empty()).then_some(tasks);
                let Some(task) = task else {
                    let message = "this rank has other tasks".to_owned();
                    return Err(Failure::new(Kind::NotHeld, message));
                };
                let ended = match outcome {
                    Outcome::Done => task.done(),
                    Outcome::Failed(reason) => task.failed(reason),
                    Outcome::Open => task.reopen(),
                };
                Ok(ended?)
            })?
        })
        .inspect(|()| self.has_ended.store(true, Ordering::Relaxed))
        .inspect_err(|_| self.has_ended.store(true, Ordering::Relaxed))
    }
}

#[pymethods]
impl Task {
    fn done(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, Outcome::Done)
    }

    #[pyo3(signature = (reason = "it failed".to_owned()))]
    fn failed(&self, py: Python<'_>, reason: String) -> PyResult<()> {
        self.end(py, Outcome::Failed(reason))
    }

    /// Leaves the task to any worker.
    fn reopen(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, Outcome::Open)
    }

    #[getter]
    fn ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The task is done, or has failed for the exception, which goes on.
    fn __exit__(
        &self,
        py: Python<'_>,
        _class: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if self.has_ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        match exception.is_none() {
            true => self.end(py, Outcome::Done),
            false => self.end(py, Outcome::Failed(text_of(exception))),
        }
    }

    fn __repr__(&self) -> String {
        format!("<mpisync.Task {:?}>", self.name)
    }
}
