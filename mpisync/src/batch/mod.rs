//! Batches: tasks that groups of ranks, the workers, take one after the other, and whose states
//! survive the job.
//!
//! ```
//! use mpisync::Batch;
//!
//! let mut batch = Batch::local().tasks(3).build()?;
//! while let Some(task) = batch.next_task()? {
//!     // All ranks of the worker are here, with the same task, and each of them ends it.
//!     match task.index() {
//!         1 => task.failed("no such input")?,
//!         _ => task.done()?,
//!     }
//! }
//! let summary = batch.summary()?;
//! assert_eq!((summary.done, summary.failed), (2, 1));
//! # Ok::<(), mpisync::batch::BatchError>(())
//! ```
//!
//! # Several tasks at a time
//! [`next_tasks`](Batch::next_tasks) takes several tasks, for a worker that computes them together: as
//! a vector, or by threads. Each of them is ended by itself, in any order, and what is said of one task
//! below holds for each. They borrow the batch, so a worker ends or drops all of them before it takes
//! more. Tasks stay on the thread of the batch; threads get their [indices](Task::index).
//!
//! ```
//! use mpisync::Batch;
//! use std::thread;
//!
//! let mut batch = Batch::local().tasks(20).build()?;
//! while let Some(tasks) = batch.next_tasks(8)? {
//!     let results = thread::scope(|scope| {
//!         let start = |index: usize| scope.spawn(move || if index == 7 { Err("no input") } else { Ok(()) });
//!         let threads: Vec<_> = tasks.iter().map(|task| start(task.index())).collect();
//!         threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
//!     });
//!     for (task, result) in tasks.into_iter().zip(results) {
//!         match result {
//!             Ok(Ok(())) => task.done()?,
//!             Ok(Err(reason)) => task.failed(reason)?,
//!             Err(_) => task.failed("a panic")?,
//!         }
//!     }
//! }
//! assert_eq!(batch.summary()?.done, 19);
//! # Ok::<(), mpisync::batch::BatchError>(())
//! ```
//!
//! # How it works
//! A table in the shared memory of the root's node has a byte for the state of each task, and an
//! index of the open ones. A rank of that node takes a task without a message, and as fast for ten
//! million tasks as for a hundred; a rank of another node waits for one round trip. Tasks are taken
//! in the order of their numbers.
//!
//! The first rank of a worker takes a task, or several in one operation, and shares them with the
//! others. Once all of them have ended a task, the first rank records its state.
//!
//! # A state directory
//! [`state_dir`](BatchBuilder::state_dir) keeps the states in files, in the format of the Python
//! package pshmem: `ROOT/NAME/state` has one of the words `OPEN`, `RUNNING`, `DONE`, `FAILED` and
//! `INVALID`. A new job continues where the last one stopped, whichever of the two libraries that
//! used: a task that was running is open again, and a task that was done is done. Several jobs may
//! work on one directory at the same time: before a worker runs a task, it claims it with a file
//! that only one job can create, and updates the time of that file while it has the task. See
//! [`Directory`], also for access from other programs. The program `mpisync-batch`, of
//! the crate `mpisync-cli`, shows and resets a directory: `mpisync-batch status DIR`, `list DIR`
//! and `reset DIR`.
//!
//! # The end of a job, tries and time limits
//! A batch [stops](BatchBuilder::stop_on) on a signal, at a time, or when a closure says so on any
//! rank: all workers end the tasks that they have, and take no more. So a job that is about to reach
//! its time limit ends by itself, and the next one goes on with what is left.
//!
//! [`tries`](BatchBuilder::tries) lets a task that has failed, or whose worker has died, run again, so
//! often. [`task_timeout`](BatchBuilder::task_timeout) limits the time of one try.
//!
//! ```
//! use mpisync::Batch;
//! use mpisync::batch::StopOn;
//! use std::time::Duration;
//!
//! let mut batch = Batch::local()
//!     .tasks(10)
//!     .stop_on(StopOn::after(Duration::from_secs(3000)))
//!     .tries(3)
//!     .task_timeout(Duration::from_secs(600))
//!     .build()?;
//! let summary = batch.for_each(|_task, _worker| Ok::<(), String>(()))?;
//! match batch.stopped()? {
//!     Some(why) => println!("{why}; {} tasks are left", summary.left()),
//!     None => summary.all_done()?,
//! }
//! # Ok::<(), mpisync::batch::BatchError>(())
//! ```
//!
//! With the feature `progress`, `Batch::progress` shows the progress of a batch while it runs.
//!
//! # When something goes wrong
//! | event | the task |
//! | --- | --- |
//! | [`Task::failed`] on any rank of the worker | has failed, for that reason |
//! | a panic that drops the [`Task`] | has failed, with the panic's message if the panic is in [`for_each`](Batch::for_each) or the program in [`run`](crate::run) |
//! | the first rank of the worker drops the task otherwise | is open again |
//! | the first rank is done, and another one drops the task | has failed, and the first rank gets [`BatchError::Dropped`]: all ranks of a worker have to say what became of the task |
//! | the first rank of the worker dies | is open again, for other workers; so are all tasks that it has |
//! | another rank of the worker dies | is open again once the first rank has noticed; both get [`BatchError::RankDied`] |
//! | a rank ends ([`run`](crate::run) returns, for example) and has not ended its task | is open again, for other workers |
//! | a rank leaves the loop early and drops the batch | is open again; the other ranks of its worker get [`BatchError::RankLeft`] |
//! | the whole job dies | is open again for the next job: at once on the same host, after [`stale_after`](BatchBuilder::stale_after) on others, for which [`for_each`](Batch::for_each) waits |
//! | a worker has it for longer than [`task_timeout`](BatchBuilder::task_timeout) | has failed, or is open again if it has [`tries`](BatchBuilder::tries) left; the late worker gets [`BatchError::Overdue`] |
//! | its folder has something else than a state, or than files, or cannot be read, or something else has its place | is left alone, as invalid, and is among [`problems`](Batch::problems); the others go on, unless the batch is [`strict`](BatchBuilder::strict) |
//! | a rank's file system is full, read-only or gone | is open again, for other workers; that rank gets [`BatchError::FileSystem`] |
//! | a node sees another directory under the name of the state directory | is not run: [`build`](BatchBuilder::build) fails on all ranks |
//!
//! When no task is left, not all of them need be done. A [`Summary`] counts them, and
//! [`all_done`](Summary::all_done) returns an error unless all are done.
//!
//! The lowest rank of each node has to stay alive, as for all objects that the ranks of a node
//! share.
//!
//! The ranks of a worker make the same calls. The others wait for a rank that leaves the loop early
//! and keeps the batch, until it comes back or drops the batch, or leaves the `#[collective]` call in
//! which the others are. Such a wait [reports itself](crate::guide::stalls), and so does a wait for
//! tasks that other workers have. So pass the batch by value to a
//! function that may fail: then it is dropped with it.
//!
//! [`Directory`]: directory::Directory

mod builder;
#[cfg(feature = "mpi")]
mod comm;
mod current;
pub mod directory;
mod error;
mod future;
mod limits;
mod outcome;
#[cfg(feature = "progress")]
mod progress;
mod round;
mod state;
mod stop;
mod table;
mod task;
mod tasks;
mod vote;
mod waiting;
mod worker;

pub use crate::batch::builder::{Alone, BatchBuilder};
#[cfg(feature = "mpi")]
pub use crate::batch::comm::OnComm;
use crate::batch::current::CurrentTasks;
pub use crate::batch::directory::Again;
use crate::batch::directory::{Directory, DirectoryError};
pub use crate::batch::error::BatchError;
pub use crate::batch::future::NextTaskFuture;
use crate::batch::limits::Limits;
#[cfg(feature = "progress")]
pub use crate::batch::progress::{Meter, Progress};
pub use crate::batch::state::{State, Summary, UnknownWord};
use crate::batch::stop::Stops;
pub use crate::batch::stop::{StopCause, StopOn, Stopped};
use crate::batch::table::Taken;
use crate::batch::table::access::TableAccess;
use crate::batch::table::layout::TaskStatus;
pub use crate::batch::task::Task;
use crate::batch::waiting::OtherJobs;
pub use crate::batch::worker::Worker;
use crate::error::CollectiveError;
use crate::object::Object;
use crate::share::{Calls, MailboxLayout};
use crate::shm::block::Block;
use crate::shm::layout::Part;
use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::sync::Arc;

/// Tasks for groups of ranks.
///
/// Made by [`Batch::builder`], and for one process without MPI by [`Batch::local`]. The
/// [module](self) describes how it works. It stays on the thread that made it. Dropping it is
/// local.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let mut batch = Batch::builder(&universe.world()).worker_size(2).tasks(200).build()?;
/// while let Some(task) = batch.next_task()? {
///     println!("rank {} of worker {} runs {}", task.worker().rank(), task.worker().number(), task.index());
///     task.done()?;
/// }
/// # Ok::<(), mpisync::batch::BatchError>(())
/// ```
pub struct Batch {
    object: Object,
    /// The calls in which the root shares the initial states.
    calls: Calls,
    table: TableAccess,
    tasks: usize,
    names: Option<Arc<[String]>>,
    directory: Option<Directory>,
    is_strict: bool,
    /// The tasks with flaws that this rank has found.
    problems: RefCell<Vec<(usize, DirectoryError)>>,
    /// The least number of digits in the names of numbered tasks.
    digits: usize,
    /// The tasks that this rank has.
    current: CurrentTasks,
    /// Empty between calls, and kept for its memory.
    taken: Vec<Taken>,
    /// How often the worker has taken tasks.
    round: u64,
    limits: Limits,
    /// When this rank stops the batch.
    stops: Stops,
    other_jobs: OtherJobs,
    /// On the leader: why the worker takes no more tasks.
    broken: OnceCell<BatchError>,
    /// On the leader: the error of a call that has returned the tasks that it had by then.
    deferred: Option<BatchError>,
    worker: Worker,
}

/// The part of an object's memory after the mailbox at its beginning.
fn behind_mailbox(block: &Block) -> Part<'_> {
    block.first_part().behind(&MailboxLayout)
}

impl Batch {
    /// The number of tasks.
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// The number of workers.
    pub fn n_workers(&self) -> i32 {
        self.worker.count()
    }

    /// This rank's worker.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.object.rank()
    }

    /// The number of ranks of the communicator.
    #[inline]
    pub fn size(&self) -> i32 {
        self.object.size()
    }

    /// The rank on whose node the states are.
    #[inline]
    pub fn root(&self) -> i32 {
        self.object.root()
    }

    /// The name that a task was given when the batch was made, or its number.
    ///
    /// # Errors
    /// [`BatchError::NoSuchTask`].
    pub fn name(&self, task: usize) -> Result<String, BatchError> {
        self.check_task(task)?;
        Ok(self.name_of(task))
    }

    /// The state of a task, in this batch or in another job. Not collective.
    ///
    /// # Errors
    /// [`BatchError::NoSuchTask`], [`LockError::Finalized`](crate::LockError::Finalized), and
    /// [`BatchError::Directory`] if the state of a task that another job runs cannot be read.
    pub fn state(&self, task: usize) -> Result<State, BatchError> {
        self.object.check_usable()?;
        self.check_task(task)?;
        match (self.table.status(&self.object, task)?, &self.directory) {
            (TaskStatus::Elsewhere, Some(directory)) => Ok(directory.state(task)?),
            (status, _) => Ok(State::from(status)),
        }
    }

    /// Sets the state of a task that no worker runs: to [`State::Open`], for example, to run it
    /// again. Not collective.
    ///
    /// # Errors
    /// [`BatchError::Busy`], [`BatchError::SetRunning`], [`BatchError::NoSuchTask`],
    /// [`LockError::Finalized`](crate::LockError::Finalized), and [`BatchError::Directory`], also
    /// if another job runs the task.
    pub fn set_state(&self, task: usize, state: State) -> Result<(), BatchError> {
        self.object.check_usable()?;
        self.check_task(task)?;
        if state == State::Running {
            return Err(BatchError::SetRunning);
        }
        if self.table.status(&self.object, task)? == TaskStatus::Taken {
            return Err(BatchError::Busy { task });
        }
        if let Some(directory) = &self.directory {
            directory.set(task, state)?;
        }
        if self
            .table
            .set(&self.object, task, TaskStatus::from(state))?
        {
            return Ok(());
        }
        Err(BatchError::Busy { task })
    }

    /// The number of tasks in each state, as far as this batch knows. Not collective. Reads a byte
    /// for each task, and first opens the tasks of ranks that have died.
    ///
    /// # Errors
    /// [`LockError::Finalized`](crate::LockError::Finalized).
    pub fn summary(&self) -> Result<Summary, BatchError> {
        self.object.check_usable()?;
        self.table.reclaim(&self.object)?;
        Ok(Summary::from(self.table.counts(&self.object)?))
    }

    /// Keeps a flaw for [`problems`](Self::problems); an error in a strict batch.
    fn note_problem(&self, task: usize, error: DirectoryError) -> Result<(), BatchError> {
        if self.is_strict {
            return Err(error.into());
        }
        self.problems.borrow_mut().push((task, error));
        Ok(())
    }

    /// The error for a state directory that this rank cannot use.
    fn file_system_error(&self, error: DirectoryError) -> BatchError {
        let rank = self.rank();
        BatchError::FileSystem { rank, error }
    }

    /// The errors for which tasks are invalid and were left alone, and those of writing the states
    /// of tasks that this rank dropped. Not collective: this rank reads the folders of invalid
    /// tasks that other ranks have found.
    pub fn problems(&self) -> Vec<DirectoryError> {
        let mut found = self.problems.borrow().clone();
        let mut from = 0;
        while let Some(directory) = &self.directory
            && self.object.check_usable().is_ok()
            && let Ok(Some(task)) = self.table.find(&self.object, TaskStatus::Invalid, from)
        {
            from = task + 1;
            let is_known = found.iter().any(|(known, _)| *known == task);
            if !is_known && let Some(flaw) = directory.flaw(task) {
                found.push((task, flaw));
            }
        }
        found.into_iter().map(|(_, error)| error).collect()
    }

    /// The state directory, if there is one.
    pub fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// Frees the batch's memory on all ranks. Collective, waits for all.
    ///
    /// Dropping the batch does not wait; its memory is freed once all ranks have dropped it.
    ///
    /// # Errors
    /// Those of [`WindowController::close`](crate::WindowController::close).
    #[track_caller]
    pub fn close(self) -> Result<(), CollectiveError> {
        self.leave();
        let last = self.calls.last_in_epoch(self.object.block().domain());
        self.object.close_after(last.0)
    }

    fn name_of(&self, task: usize) -> String {
        match &self.names {
            Some(names) => names[task].clone(),
            None => builder::number(task, self.digits),
        }
    }

    fn check_task(&self, task: usize) -> Result<(), BatchError> {
        if task < self.tasks {
            return Ok(());
        }
        let tasks = self.tasks;
        Err(BatchError::NoSuchTask { task, tasks })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.object.check_usable().is_ok() {
            self.leave();
        }
    }
}

/// Shows the counts of the tasks, if the root is on this node, and the tasks of this rank; a snapshot
/// that may be out of date.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.local();
        let current = self.current.all_facts().into_iter();
        let runs: Vec<usize> = current.map(|(task, ..)| task).collect();
        f.debug_struct("Batch")
            .field("name", &self.object.name())
            .field("rank", &self.rank())
            .field("size", &self.size())
            .field("root", &self.root())
            .field("tasks", &self.tasks)
            .field("summary", &table.map(|table| Summary::from(table.counts())))
            .field("worker", &self.worker.number())
            .field("worker_rank", &self.worker.rank())
            .field("runs", &runs)
            .finish_non_exhaustive()
    }
}
