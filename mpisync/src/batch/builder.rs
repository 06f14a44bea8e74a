//! Making batches.

use crate::batch::access::Side;
#[cfg(feature = "mpi")]
use crate::batch::directory::DirectoryError;
use crate::batch::directory::{Directory, Options};
use crate::batch::table::layout::TaskStatus;
use crate::batch::table::memory::TableLayout;
#[cfg(feature = "mpi")]
use crate::batch::team::Layout;
#[cfg(feature = "mpi")]
use crate::batch::worker::Call;
use crate::batch::worker::Worker;
use crate::batch::{Batch, BatchError, State, directory, panics};
use crate::error::CreateError;
use crate::object::Object;
use crate::share::{Calls, MailboxLayout};
use crate::shm::block::Block;
use crate::shm::layout::Layout as _;
use crate::shm::mapping::Mapping;
use crate::shm::topology::Topology;
#[cfg(feature = "mpi")]
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Makes a batch: with which tasks, what their states are at first, and who runs them. `On` says
/// whether it is one of a communicator, by [`Batch::builder`], or of one process alone, by
/// [`Batch::local`].
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
    #[cfg_attr(
        not(feature = "mpi"),
        expect(dead_code, reason = "a batch of one process needs nothing more")
    )]
    on: On,
    name: String,
    tasks: Option<usize>,
    names: Option<Arc<[String]>>,
    states: Option<Vec<State>>,
    directory: Option<PathBuf>,
    options: Options,
    is_strict: bool,
}

/// A batch of one process alone, without MPI; see [`BatchBuilder`].
#[derive(Debug)]
pub struct Alone;

impl Batch {
    /// The most tasks that a batch can have. They take 115 MB on the root's node then, and seconds
    /// to make; with a state directory there may be [fewer](Directory::MAX_TASKS). Who has more
    /// runs several as one.
    pub const MAX_TASKS: usize = 100_000_000;

    /// Begins to make a batch of this process alone, which is its only worker. Needs no MPI,
    /// neither to run nor (without the feature `mpi`) to build.
    pub fn local() -> BatchBuilder<Alone> {
        BatchBuilder::new(Alone)
    }
}

impl<On> BatchBuilder<On> {
    fn new(on: On) -> Self {
        BatchBuilder {
            on,
            name: "batch".to_owned(),
            tasks: None,
            names: None,
            states: None,
            directory: None,
            options: Options::default(),
            is_strict: false,
        }
    }

    /// So many tasks, whose names are their numbers, with leading zeros: of 200 tasks `000` to
    /// `199`. Must be the same on all ranks.
    ///
    /// Where the state directory has such tasks already, their names have as many digits as those
    /// have, so that a task keeps its state when there are more tasks, or fewer, than before: ten
    /// tasks `0` to `9` become eleven by the task `10`.
    pub fn tasks(mut self, count: usize) -> Self {
        self.tasks = Some(count);
        self.names = None;
        self
    }

    /// A task for each of these names. Must be the same on all ranks. With a state directory they
    /// are the names of folders.
    pub fn names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        self.tasks = Some(names.len());
        self.names = Some(names);
        self
    }

    /// The initial states: one for each task, on the root; other ranks' states are ignored. Defaults
    /// to open. Without tasks and names, there are as many tasks as states.
    pub fn initial_states(mut self, states: impl IntoIterator<Item = State>) -> Self {
        let states: Vec<State> = states.into_iter().collect();
        self.tasks.get_or_insert(states.len());
        self.states = Some(states);
        self
    }

    /// Keeps the states in a directory, from which they are taken where it is there already; see
    /// [`Directory`]. Must be the same on all ranks, which have to see the same file system.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// Whether each change in the state directory is on the disk before the call returns that makes
    /// it (`fsync`). Defaults to true. Must be the same on all ranks. Without it a change may be
    /// lost when a host loses its power, and not when a job is killed.
    pub fn durable(mut self, durable: bool) -> Self {
        self.options = self.options.durable(durable);
        self
    }

    /// After how long without a sign of life a job that runs a task is taken to have died. Defaults
    /// to two minutes. Must be the same on all ranks, and in all jobs that work on one state
    /// directory. Longer than a file server may be away, and [`Options::LEAST_STALE_AFTER`] at
    /// least.
    pub fn stale_after(mut self, time: Duration) -> Self {
        self.options = self.options.stale_after(time);
        self
    }

    /// Whether a task in whose folder something is wrong, so that its state cannot be read or
    /// written, is an error of [`build`](Self::build) or [`next_task`](Batch::next_task); false if
    /// not said: then it is left alone, and among [`Batch::problems`]. Must be the same on all
    /// ranks. A file system in trouble is an error either way.
    pub fn strict(mut self, strict: bool) -> Self {
        self.is_strict = strict;
        self
    }

    /// A name for messages, of at most 200 bytes. Must be the same on all ranks.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// An error if there are more tasks than there can be.
    fn too_many(&self) -> Option<CreateError> {
        let most = match self.directory {
            Some(_) => Directory::MAX_TASKS,
            None => Batch::MAX_TASKS,
        };
        let tasks = self.count();
        (tasks > most).then_some(CreateError::TooManyTasks { tasks, most })
    }

    /// How many tasks there are.
    fn count(&self) -> usize {
        self.tasks.unwrap_or(0)
    }

    /// The batch on these words, in which all tasks are open.
    fn make(self, object: Object, calls: Calls, table: Side, worker: Worker) -> Batch {
        panics::watch();
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
            hand: None,
            round: 0,
            next_sweep: Cell::new(None),
            broken: None,
            worker,
        }
    }
}

/// The states at first.
struct Beginning {
    states: Option<Vec<State>>,
    directory: Option<PathBuf>,
    options: Options,
}

impl<On> BatchBuilder<On> {
    fn beginning(&mut self) -> Beginning {
        Beginning {
            states: self.states.take(),
            directory: self.directory.take(),
            options: self.options.clone(),
        }
    }
}

impl Beginning {
    /// On the root: makes the directory if there is to be one, and puts the states into the table.
    fn begin(self, batch: &mut Batch) -> Result<(), BatchError> {
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
                    // Another job may have begun with another number of tasks at the same moment.
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
                batch.access().set(task, TaskStatus::from(state));
            }
        }
        // What runs for all that its state says may be that of a job that has died.
        batch.look_after_others().map(drop)
    }

    /// On the other ranks, when the root has done that: looks whether the directory is the same
    /// here.
    #[cfg(feature = "mpi")]
    fn follow(self, batch: &mut Batch, begun: Begun) -> Result<(), DirectoryError> {
        batch.digits = begun.digits;
        let Some(path) = self.directory else {
            return Ok(());
        };
        let directory = Directory::join(path, folders(batch), self.options);
        let seen = begun.sign.map_or(Ok(()), |word| directory.check_sign(word));
        batch.directory = Some(directory);
        seen
    }
}

/// What the root tells the others when it has begun.
#[cfg(feature = "mpi")]
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Begun {
    digits: usize,
    /// The word of the sign by which they know the state directory.
    sign: Option<u64>,
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

/// The name of a task that was given none, of so many digits at least.
pub(super) fn number(task: usize, digits: usize) -> String {
    format!("{task:0digits$}")
}

impl BatchBuilder<Alone> {
    /// Makes it.
    ///
    /// # Errors
    /// [`CreateError::NoTasks`], [`CreateError::TooManyTasks`] and no memory for them,
    /// [`BatchError::Directory`], [`BatchError::States`], [`BatchError::StatesAndDirectory`].
    pub fn build(mut self) -> Result<Batch, BatchError> {
        if self.tasks.is_none() {
            return Err(CreateError::NoTasks.into());
        }
        if let Some(error) = self.too_many() {
            return Err(error.into());
        }
        let beginning = self.beginning();
        let tasks = self.count();
        let layout = (MailboxLayout, TableLayout { root: 0, tasks });
        check_memory(layout.length(&Topology::one_node(0, 1)))?;
        let object = Object::local_named(self.name.clone(), &layout);
        let calls = Calls::new(object.block(), object.link(), Block::first_part);
        let table = Side::open(&object, tasks);
        let mut batch = self.make(object, calls, table, Worker::alone());
        beginning.begin(&mut batch)?;
        Ok(batch)
    }
}

/// Fails if this process cannot allocate that many bytes. Does not account for memory that others
/// take at the same moment.
fn check_memory(bytes: usize) -> Result<(), CreateError> {
    match Mapping::try_private(bytes) {
        Some(_) => Ok(()),
        None => Err(CreateError::Memory {
            rank: 0,
            source: Arc::new(io::ErrorKind::OutOfMemory.into()),
        }),
    }
}

#[cfg(feature = "mpi")]
mod with_mpi;
#[cfg(feature = "mpi")]
pub use crate::batch::builder::with_mpi::OnComm;
