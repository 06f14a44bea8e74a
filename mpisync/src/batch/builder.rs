//! The arguments of a batch, and making a batch of one process.

use crate::batch::current::CurrentTasks;
use crate::batch::directory::{Directory, DirectoryError, Marker, Options};
use crate::batch::limits::Limits;
use crate::batch::stop::Stops;
use crate::batch::table::access::TableAccess;
use crate::batch::table::layout::{MOST_AT_ONCE, TableLayout, TaskStatus};
use crate::batch::waiting::OtherJobs;
use crate::batch::worker::Worker;
use crate::batch::{Batch, BatchError, State, StopOn, directory};
use crate::error::CreateError;
use crate::object::Object;
use crate::share::{Calls, MailboxLayout};
use crate::shm::block::Block;
use crate::shm::layout::Layout as _;
use crate::shm::mapping::Mapping;
use crate::shm::topology::Topology;
use serde::{Deserialize, Serialize};
use std::cell::{OnceCell, RefCell};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Makes a batch: its tasks, their initial states and its workers. `On` is
/// [`OnComm`](crate::batch::OnComm) for a batch on a communicator, by [`Batch::builder`], and
/// [`Alone`] for one of a single process, by [`Batch::local`].
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let mut batch = Batch::builder(&universe.world())
///     .worker_per_node()
///     .names(["cold", "warm", "hot"])
///     .state_dir("states")
///     .build()?;
/// # Ok::<(), mpisync::batch::BatchError>(())
/// ```
#[must_use = "nothing is made before `build`"]
#[derive(Debug)]
pub struct BatchBuilder<On> {
    pub(super) on: On,
    pub(super) name: String,
    pub(super) tasks: Option<usize>,
    pub(super) names: Option<Arc<[String]>>,
    states: Option<Vec<State>>,
    directory: Option<PathBuf>,
    pub(super) options: Options,
    pub(super) is_strict: bool,
    pub(super) limits: Limits,
    stops: Vec<StopOn>,
}

/// A batch of one process alone, without MPI; see [`BatchBuilder`].
#[derive(Debug)]
pub struct Alone;

impl Batch {
    /// The most tasks that a batch can have. They take 115 MB on the root's node and seconds to
    /// make; with a state directory there may be [fewer](Directory::MAX_TASKS). For more, let one
    /// task stand for several.
    pub const MAX_TASKS: usize = 100_000_000;

    /// The most tasks that a worker has at a time, by [`next_tasks`](Self::next_tasks).
    pub const MAX_AT_ONCE: usize = MOST_AT_ONCE;

    /// Begins to make a batch of this process alone, which is its only worker. Does not need MPI at
    /// run time, nor, without the feature `mpi`, at build time.
    pub fn local() -> BatchBuilder<Alone> {
        BatchBuilder::new(Alone)
    }
}

impl<On> BatchBuilder<On> {
    pub(super) fn new(on: On) -> Self {
        BatchBuilder {
            on,
            name: "batch".to_owned(),
            tasks: None,
            names: None,
            states: None,
            directory: None,
            options: Options::default(),
            is_strict: false,
            limits: Limits::default(),
            stops: Vec::new(),
        }
    }

    /// Sets the number of tasks. Their names are their numbers, with leading zeros: `000` to `199`
    /// for 200 tasks. Must be the same on all ranks.
    ///
    /// If the state directory has such tasks already, the names have as many digits as those, so
    /// that a task keeps its state when the number of tasks changes: after the tasks `0` to `9` the
    /// eleventh is `10`.
    pub fn tasks(mut self, count: usize) -> Self {
        self.tasks = Some(count);
        self.names = None;
        self
    }

    /// Adds a task for each of these names. Must be the same on all ranks. With a state directory
    /// they are the names of folders.
    pub fn names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        self.tasks = Some(names.len());
        self.names = Some(names);
        self
    }

    /// Sets the initial states, one for each task. Only the states of the root are used. Defaults
    /// to open. Without tasks and names, there are as many tasks as states.
    pub fn initial_states(mut self, states: impl IntoIterator<Item = State>) -> Self {
        let states: Vec<State> = states.into_iter().collect();
        self.tasks.get_or_insert(states.len());
        self.states = Some(states);
        self
    }

    /// Keeps the states in a directory. If it exists, the initial states are read from it; see
    /// [`Directory`]. Must be the same on all ranks, which have to see the same file system.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// Sets whether a call returns only after its changes in the state directory are on the disk
    /// (`fsync`). Defaults to true. Must be the same on all ranks. Without it a change may be lost
    /// when a host loses power, but not when a job is killed.
    pub fn durable(mut self, durable: bool) -> Self {
        self.options = self.options.durable(durable);
        self
    }

    /// Sets the time without a heartbeat after which a job that runs a task is taken for dead.
    /// Defaults to two minutes. Must be the same on all ranks, and in all jobs that use one state
    /// directory. Must be longer than the file server may be unavailable, and at least
    /// [`Options::LEAST_STALE_AFTER`].
    pub fn stale_after(mut self, time: Duration) -> Self {
        self.options = self.options.stale_after(time);
        self
    }

    /// Whether a task whose folder has wrong contents or may not be read, so that its state cannot be
    /// read or written, is an error of [`build`](Self::build) or [`next_task`](Batch::next_task). Defaults to false: the
    /// task is left alone and is among [`Batch::problems`]. Must be the same on all ranks. A failure
    /// of the file system is an error either way.
    pub fn strict(mut self, strict: bool) -> Self {
        self.is_strict = strict;
        self
    }

    /// Sets a name for messages, of at most 200 bytes. Must be the same on all ranks.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Stops the batch when this condition of this rank is met: the workers of all ranks end the
    /// tasks that they have, and take no more. [`next_task`](Batch::next_task) returns `None` then,
    /// and [`for_each`](Batch::for_each) what is [left](crate::batch::Summary::left), without waiting for the tasks of
    /// other workers. [`Batch::stopped`] tells why.
    ///
    /// May be called several times, and differently on each rank: the first condition that is met on
    /// any rank counts. A task is not interrupted; so a deadline has to leave time for the longest
    /// task.
    pub fn stop_on(mut self, condition: StopOn) -> Self {
        self.stops.push(condition);
        self
    }

    /// Sets how often a task is tried, at most 30 times. Must be the same on all ranks. Without it
    /// a task that fails is not tried again, and one whose worker dies is tried any number of times.
    ///
    /// A task that fails is open again, and has [failed](State::Failed) for good after this number of
    /// tries; the reason in the state directory says so. Each time that a worker takes the task is a
    /// try, also if the worker dies, opens the task again, or has it for [too
    /// long](Self::task_timeout). [`Again`](crate::batch::Again) takes no task that has failed for good.
    ///
    /// With a state directory the tries of all jobs count, by the file `tries` in the task's folder.
    /// Setting the state of a task ([`Batch::set_state`], `mpisync-batch reset`) sets them back.
    pub fn tries(mut self, tries: u32) -> Self {
        self.limits.tries = Some(tries);
        self
    }

    /// Sets how long a worker may have a task. Must be the same on all ranks. Defaults to no limit.
    ///
    /// The library cannot interrupt a task. It takes the task away from a worker that is late: the
    /// try counts as failed, so the task has failed, or is open again if there are [`tries`] left. In a state directory
    /// it is free for others only after [`stale_after`] more, since they may not know the limit. Other
    /// workers do not wait for a late one, and what it says of the task in the end does not count
    /// ([`BatchError::Overdue`]). So two workers may run the task at the same time, the late one and
    /// the next one; this should do no harm.
    ///
    /// [`tries`]: Self::tries
    /// [`stale_after`]: Self::stale_after
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.limits.task_timeout = Some(limit);
        self
    }

    /// The options of the state directory.
    pub(super) fn options_of_directory(&self) -> Options {
        let Limits {
            tries,
            task_timeout,
        } = self.limits;
        self.options.clone().limits(tries, task_timeout)
    }

    /// Whether the batch has a state directory.
    pub(super) fn has_directory(&self) -> bool {
        self.directory.is_some()
    }

    /// The error for too many tasks, if there is one.
    pub(super) fn too_many(&self) -> Option<CreateError> {
        let most = match self.directory {
            Some(_) => Directory::MAX_TASKS,
            None => Batch::MAX_TASKS,
        };
        let tasks = self.count();
        (tasks > most).then_some(CreateError::TooManyTasks { tasks, most })
    }

    /// The number of tasks.
    pub(super) fn count(&self) -> usize {
        self.tasks.unwrap_or(0)
    }

    /// The batch with this table, in which all tasks are open.
    pub(super) fn make(
        self,
        object: Object,
        calls: Calls,
        table: TableAccess,
        worker: Worker,
    ) -> Batch {
        let last = self.count().saturating_sub(1);
        Batch {
            object,
            calls,
            table,
            tasks: self.count(),
            names: self.names,
            directory: None,
            is_strict: self.is_strict,
            problems: RefCell::default(),
            digits: last.max(1).ilog10() as usize + 1,
            current: CurrentTasks::default(),
            taken: Vec::new(),
            round: 0,
            limits: self.limits,
            stops: Stops::new(self.stops),
            other_jobs: OtherJobs::default(),
            broken: OnceCell::new(),
            deferred: None,
            worker,
        }
    }

    /// Takes the initial states out of the builder.
    pub(super) fn initial(&mut self) -> InitialStates {
        InitialStates {
            states: self.states.take(),
            directory: self.directory.take(),
            options: self.options_of_directory(),
        }
    }
}

impl BatchBuilder<Alone> {
    /// Makes the batch.
    ///
    /// # Errors
    /// [`CreateError::NoTasks`], [`CreateError::TooManyTasks`], [`CreateError::TaskLimit`],
    /// [`CreateError::Memory`],
    /// [`BatchError::Directory`], [`BatchError::States`], [`BatchError::StatesAndDirectory`].
    pub fn build(mut self) -> Result<Batch, BatchError> {
        if self.tasks.is_none() {
            return Err(CreateError::NoTasks.into());
        }
        if let Some(error) = self.too_many().or_else(|| self.limits.invalid()) {
            return Err(error.into());
        }
        let limits = self.limits.of_table(self.has_directory());
        let initial = self.initial();
        let tasks = self.count();
        let layout = (MailboxLayout, TableLayout { root: 0, tasks });
        check_memory(layout.length(&Topology::one_node(0, 1)))?;
        let object = Object::local_named("batch", self.name.clone(), &layout);
        let calls = Calls::new(object.block(), object.link(), Block::first_part);
        let table = TableAccess::open(&object, tasks, limits);
        let mut batch = self.make(object, calls, table, Worker::local());
        initial.load(&mut batch)?;
        Ok(batch)
    }
}

/// Fails if this process cannot allocate that many bytes. Does not account for memory that other
/// processes allocate at the same time.
fn check_memory(bytes: usize) -> Result<(), CreateError> {
    match Mapping::try_private(bytes) {
        Some(_) => Ok(()),
        None => Err(CreateError::Memory {
            rank: 0,
            error: Arc::new(io::ErrorKind::OutOfMemory.into()),
        }),
    }
}

/// Where the initial states come from.
pub(super) struct InitialStates {
    states: Option<Vec<State>>,
    directory: Option<PathBuf>,
    options: Options,
}

/// The properties of the root's state directory that the other ranks have to know.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct DirectoryOnRoot {
    /// The number of digits in the names of tasks.
    digits: usize,
    /// The number of the directory's marker, if there is one.
    pub(super) marker: Option<u64>,
}

impl InitialStates {
    pub(super) fn path(&self) -> Option<&PathBuf> {
        self.directory.as_ref()
    }

    /// On the root: makes the directory if requested, and puts the states into the table.
    pub(super) fn load(self, batch: &mut Batch) -> Result<(), BatchError> {
        let states = match (self.states, self.directory) {
            (Some(_), Some(path)) => return Err(BatchError::StatesAndDirectory(path)),
            (None, None) => return Ok(()),
            (Some(states), None) => states,
            (None, Some(path)) => {
                let are_numbers = batch.names.is_none();
                if are_numbers {
                    batch.digits = directory::digits(&path, batch.digits)?;
                }
                let directory = Directory::create(path, &folders(batch), self.options)?;
                if are_numbers {
                    // Another job may have made it with another number of tasks at the same time.
                    directory::digits(directory.root(), batch.digits)?;
                }
                let mut states = Vec::with_capacity(batch.tasks);
                for (task, state) in directory.states().into_iter().enumerate() {
                    states.push(match state {
                        Ok(state) => state,
                        Err(error) if directory.is_flaw(task, &error) => {
                            batch.note_problem(task, error)?;
                            State::Invalid
                        }
                        Err(error) => return Err(error.into()),
                    });
                }
                batch.directory = Some(directory);
                states
            }
        };
        if states.len() != batch.tasks {
            return Err(BatchError::States {
                states: states.len(),
                tasks: batch.tasks,
            });
        }
        for (task, state) in states.into_iter().enumerate() {
            if state != State::Open {
                let status = TaskStatus::from(state);
                batch.table.set(&batch.object, task, status)?;
            }
        }
        // A task whose state is RUNNING may belong to a job that has died.
        batch.reclaim().map(drop)
    }

    /// On the other ranks, after the root: joins the directory, and checks that it is the same
    /// here.
    pub(super) fn join(
        self,
        batch: &mut Batch,
        on_root: DirectoryOnRoot,
    ) -> Result<(), DirectoryError> {
        batch.digits = on_root.digits;
        let Some(path) = self.directory else {
            return Ok(());
        };
        let directory = Directory::join(path, folders(batch), self.options);
        let seen = on_root
            .marker
            .map_or(Ok(()), |number| directory.check_marker(number));
        batch.directory = Some(directory);
        seen
    }
}

impl DirectoryOnRoot {
    /// On the root: the directory of the batch, with the marker that was made in it.
    pub(super) fn new(batch: &Batch, marker: Option<&Marker>) -> Self {
        DirectoryOnRoot {
            digits: batch.digits,
            marker: marker.map(Marker::number),
        }
    }
}

/// The names of the tasks' folders.
fn folders(batch: &Batch) -> Arc<[String]> {
    match &batch.names {
        Some(names) => Arc::clone(names),
        None => (0..batch.tasks)
            .map(|task| number(task, batch.digits))
            .collect(),
    }
}

/// The default name of a task, with at least `digits` digits.
pub(super) fn number(task: usize, digits: usize) -> String {
    format!("{task:0digits$}")
}
