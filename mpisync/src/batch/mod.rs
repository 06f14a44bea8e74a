//! Batches: tasks that groups of ranks, the workers, take one after the other, and whose state
//! survives the job.
//!
//! ```
//! use mpisync::Batch;
//!
//! let mut batch = Batch::local().tasks(3).build()?;
//! while let Some(task) = batch.next_task()? {
//!     // All ranks of the worker are here, with the same task.
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
//! # How it works
//! A byte a task says what has become of it. They lie in shared memory of the root's node, with an
//! index of those that are open, so that a rank of that node takes a task in the same short time
//! whether there are a hundred or ten million, without a message; ranks of other nodes ask, and
//! wait a round trip. The tasks are given out in the order of their numbers.
//!
//! The first rank of a worker takes a task and shares it with the others. When all of them have
//! said that they are through with it, the first one says what has become of it.
//!
//! # A state directory
//! [`state_dir`](BatchBuilder::state_dir) keeps the states in files, in pshmem's format:
//! `ROOT/NAME/state` has one of the words `OPEN`, `RUNNING`, `DONE`, `FAILED` and `INVALID`. A job
//! that is started again goes on where the last one was, whichever of the two libraries that was
//! written with; a task that was running then is open again, and one that was done is done. Several
//! jobs may work on one directory at the same time: before a worker runs a task it claims it with a
//! file that only one can create, and keeps that file young while it has the task. See
//! [`Directory`], also for looking at it from outside; so does the program `mpisync-batch`, with
//! the feature `cli`: `mpisync-batch status DIR`, `list DIR` and `reset DIR`.
//!
//! With the feature `progress`, `Batch::progress` shows how far a batch is while it runs.
//!
//! # When something goes wrong
//! | | the task |
//! | --- | --- |
//! | [`Task::failed`] on any rank of the worker | has failed, for that reason |
//! | a panic that drops the [`Task`] | has failed, with the panic's message |
//! | the task is dropped otherwise | is open again |
//! | the first rank of the worker dies | is open again, for other workers |
//! | another rank of the worker dies | is open again once the first has noticed; both get [`BatchError::RankDied`] |
//! | a rank leaves the loop early, and drops the batch | is open again; the other ranks of its worker get [`BatchError::RankLeft`] |
//! | the whole job dies | is open again for the next job: on the same host at once, on others after [`stale_after`](BatchBuilder::stale_after) |
//! | what is in its own folder is no state, or no file | is left alone, as invalid, and among [`problems`](Batch::problems); the others go on, unless [`strict`](BatchBuilder::strict) is asked for |
//! | a rank's file system is full, may not be written, or is gone | is open again, for other workers; that rank gets [`BatchError::FileSystem`] |
//! | a node sees another directory under the name of the state directory | is not run: [`build`](BatchBuilder::build) fails on all ranks |
//!
//! Not all tasks need be done when there is none left: a [`Summary`] says how many are, and
//! [`all_done`](Summary::all_done) makes an error of those that are not.
//!
//! Over several nodes the lowest rank on each has to live, as for everything that ranks share
//! there.
//!
//! The ranks of a worker make the same calls. One that leaves the loop early and keeps the batch is
//! waited for until it comes back or drops the batch: give the batch by value to a function that
//! may fail, so that it is dropped with it.
//!
//! [`Directory`]: directory::Directory

mod access;
mod builder;
pub mod directory;
mod error;
mod for_each;
mod leader;
mod outcome;
mod panics;
#[cfg(feature = "progress")]
mod progress;
mod reclaim;
mod standing;
mod state;
pub(crate) mod table;
mod take;
mod task;
#[cfg(feature = "mpi")]
mod team;
pub(crate) mod vote;
mod worker;

use crate::batch::access::TableAccess;
#[cfg(feature = "mpi")]
pub use crate::batch::builder::OnComm;
pub use crate::batch::builder::{Alone, BatchBuilder};
pub use crate::batch::directory::Again;
use crate::batch::directory::{Directory, DirectoryError};
pub use crate::batch::error::BatchError;
use crate::batch::outcome::Hand;
#[cfg(feature = "progress")]
pub use crate::batch::progress::{Meter, Progress};
pub use crate::batch::state::{State, Summary, UnknownWord};
use crate::batch::table::layout::TaskStatus;
pub use crate::batch::task::Task;
pub use crate::batch::worker::Worker;
#[cfg(feature = "mpi")]
use crate::error::CollectiveError;
use crate::object::Object;
use crate::share::{Calls, MailboxLayout};
use crate::shm::block::Block;
use crate::shm::layout::Part;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Tasks for groups of ranks.
///
/// Made by [`Batch::builder`], and for one process without MPI by [`Batch::local`]. The
/// [module](self) tells how it works. It stays on the thread that made it. Dropping it is local.
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
    /// Through whose mailbox the root shares the beginning.
    calls: Calls,
    table: access::Side,
    tasks: usize,
    names: Option<Arc<[String]>>,
    directory: Option<Directory>,
    is_strict: bool,
    /// What this rank has found wrong with which tasks.
    problems: RefCell<Vec<(usize, DirectoryError)>>,
    /// How many digits the names of tasks have at least that are numbers.
    digits: usize,
    /// The task that this rank has in hand.
    hand: Option<Hand>,
    /// How many tasks the worker has taken.
    round: u64,
    /// When this rank may look again at what other jobs do with tasks.
    next_sweep: Cell<Option<Instant>>,
    /// Why the worker takes no more tasks; on its first rank.
    broken: Option<BatchError>,
    worker: Worker,
}

/// The part of an object's memory behind the mailbox that it begins with.
fn behind_mailbox(block: &Block) -> Part<'_> {
    block.first_part().behind(&MailboxLayout)
}

impl Batch {
    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// How many workers there are.
    pub fn n_workers(&self) -> i32 {
        self.worker.count()
    }

    /// This rank's worker.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.object.rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.object.size()
    }

    /// The rank on whose node the states are.
    pub fn root(&self) -> i32 {
        self.object.root()
    }

    /// The name of a task: one of those that the batch was made with, or its number.
    ///
    /// # Errors
    /// [`BatchError::NoSuchTask`].
    pub fn name(&self, task: usize) -> Result<String, BatchError> {
        self.check_task(task)?;
        Ok(self.name_of(task))
    }

    fn note_problem(&self, task: usize, error: DirectoryError) -> Result<(), BatchError> {
        if self.is_strict {
            return Err(error.into());
        }
        self.problems.borrow_mut().push((task, error));
        Ok(())
    }

    /// The error for a state directory that this rank cannot use.
    fn in_trouble(&self, error: DirectoryError) -> BatchError {
        let rank = self.rank();
        BatchError::FileSystem { rank, error }
    }

    /// What is wrong with tasks that were left alone for that, as invalid, and what this rank could
    /// not write of tasks that it dropped. Not collective: for tasks that are invalid and that
    /// other ranks have found, this rank looks into the directory itself.
    pub fn problems(&self) -> Vec<DirectoryError> {
        let mut found = self.problems.borrow().clone();
        let mut from = 0;
        while let Some(directory) = &self.directory
            && self.object.check_usable().is_ok()
            && let Some(task) = self.access().find(TaskStatus::Invalid, from)
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

    /// Gives the batch's memory back on all ranks. Collective, waits for all.
    ///
    /// Dropping the batch does the same without waiting, once all ranks have dropped theirs.
    ///
    /// # Errors
    /// Those of [`WindowController::close`](crate::WindowController::close).
    #[cfg(feature = "mpi")]
    #[track_caller]
    pub fn close(mut self) -> Result<(), CollectiveError> {
        self.leave();
        let last = self.calls.last_in_epoch(self.object.block().domain());
        self.object.close_after(last.0)
    }

    #[inline]
    fn access(&self) -> TableAccess<'_> {
        TableAccess {
            side: &self.table,
            object: &self.object,
        }
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

/// What has become of the tasks, where the root is on this node, and what this rank's worker does;
/// a snapshot that may be out of date.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = self.table.here();
        f.debug_struct("Batch")
            .field("name", &self.object.name())
            .field("rank", &self.rank())
            .field("size", &self.size())
            .field("root", &self.root())
            .field("tasks", &self.tasks)
            .field("summary", &here.map(|table| Summary::from(table.counts())))
            .field("worker", &self.worker.number())
            .field("worker_rank", &self.worker.rank())
            .field("runs", &self.hand.as_ref().map(|hand| hand.task))
            .finish_non_exhaustive()
    }
}
