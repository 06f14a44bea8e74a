//! Batches: tasks that groups of ranks, the workers, take one after the other, and whose state survives the job.
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
//! A byte a task says what has become of it. They lie in shared memory of the root's node, with an index of those that are open,
//! so that a rank of that node takes a task in the same short time whether there are a hundred or ten million, without a message;
//! ranks of other nodes ask, and wait a round trip. The tasks are given out in the order of their numbers.
//!
//! The first rank of a worker takes a task and shares it with the others. When all of them have said that they are through with
//! it, the first one says what has become of it.
//!
//! # A state directory
//! [`state_dir`](BatchBuilder::state_dir) keeps the states in files, in pshmem's format: `ROOT/NAME/state` has one of the words
//! `OPEN`, `RUNNING`, `DONE`, `FAILED` and `INVALID`. A job that is started again goes on where the last one was, whichever of
//! the two libraries that was written with; a task that was running then is open again, and one that was done is done. Several
//! jobs may work on one directory at the same time: before a worker runs a task it claims it with a file that only one can
//! create, and keeps that file young while it has the task. See [`Directory`], also for looking at it from outside; so does the
//! program `mpisync-batch`, with the feature `cli`: `mpisync-batch status DIR`, `list DIR` and `reset DIR`.
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
//! | the whole job dies | is open again for the next job: on the same host at once, on others after [`stale_after`](BatchBuilder::stale_after) |
//! | its state cannot be read or written | is left alone, as invalid; the others go on, unless [`strict`](BatchBuilder::strict) is asked for |
//!
//! [`Directory`]: directory::Directory

mod books;
mod builder;
pub mod directory;
mod each;
mod error;
mod panics;
#[cfg(feature = "progress")]
mod progress;
mod state;
mod task;
mod worker;

use crate::controller::WindowController;
#[cfg(feature = "mpi")]
use crate::error::FenceError;
use crate::ledger::{Ledger, Offers, Taken};
use crate::memory::ledger::Table;
use crate::memory::words::ledger::Entry;
use crate::rounds::Ballot;
use crate::wait::{FIRST_NAP, INSPECTION};
use books::Books;
#[cfg(feature = "mpi")]
pub use builder::OnComm;
pub use builder::{Alone, BatchBuilder};
pub use directory::Again;
use directory::{Claim, Claimed, Directory, DirectoryError};
pub use error::BatchError;
#[cfg(feature = "mpi")]
use mpi::topology::SimpleCommunicator;
#[cfg(feature = "progress")]
pub use progress::{Meter, Progress};
use serde::{Deserialize, Serialize};
pub use state::{State, Summary, UnknownWord};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
pub use task::Task;
use worker::Call;
pub use worker::Worker;

/// Tasks for groups of ranks.
///
/// Made by [`Batch::builder`], and for one process without MPI by [`Batch::local`]. The [module](self) tells how it works. It
/// stays on the thread that made it. Dropping it is local.
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
    base: WindowController,
    /// Where the ledger is on this node.
    ledger: Option<Arc<Ledger<Table>>>,
    tasks: usize,
    names: Option<Arc<[String]>>,
    directory: Option<Directory>,
    is_strict: bool,
    /// What this rank has found wrong with tasks.
    problems: RefCell<Vec<DirectoryError>>,
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

/// A task in hand.
struct Hand {
    task: usize,
    /// On the first rank of the worker, with a state directory.
    claim: Option<Claim>,
    /// What this rank has said of it, when the others have not yet been heard.
    said: Option<Ballot>,
}

/// A task that was found for a worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Found {
    task: usize,
    was: State,
    /// How many tasks the worker has taken with it.
    round: u64,
}

impl Batch {
    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// Which worker this rank belongs to, counted from 0.
    pub fn worker(&self) -> i32 {
        self.worker.number()
    }

    /// This rank's number in its worker.
    pub fn worker_rank(&self) -> i32 {
        self.worker.rank()
    }

    /// How many ranks its worker has.
    pub fn worker_size(&self) -> i32 {
        self.worker.size()
    }

    /// The communicator of its worker.
    ///
    /// # Panics
    /// In a batch of one process without MPI, which has none.
    #[cfg(feature = "mpi")]
    pub fn worker_comm(&self) -> &SimpleCommunicator {
        self.worker.comm()
    }

    /// How many workers there are.
    pub fn n_workers(&self) -> i32 {
        self.worker.count()
    }

    /// This rank's worker.
    pub fn worker_of_this_rank(&self) -> &Worker {
        &self.worker
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.base.rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.base.size()
    }

    /// The rank on whose node the states are.
    pub fn root(&self) -> i32 {
        self.base.master()
    }

    /// The name of a task: one of those that the batch was made with, or its number.
    ///
    /// # Errors
    /// [`BatchError::NoSuchTask`].
    pub fn name(&self, task: usize) -> Result<String, BatchError> {
        self.check_task(task)?;
        Ok(self.name_of(task))
    }

    /// Takes the next task for this rank's worker: the first that is open. Collective in the worker; none when no task is open.
    ///
    /// Tasks that others run may come back open. To stay for these, call [`wait_all`](Self::wait_all), or use
    /// [`for_each`](Self::for_each).
    ///
    /// # Errors
    /// [`BatchError::RankDied`], [`BatchError::RankLeft`], [`BatchError::OtherRank`] with what the worker's first rank found,
    /// [`LockError::Finalized`](crate::LockError::Finalized); [`BatchError::Directory`] if the batch is
    /// [strict](BatchBuilder::strict).
    #[track_caller]
    pub fn next_task(&mut self) -> Result<Option<Task<'_>>, BatchError> {
        self.next_task_with(Again::default())
    }

    /// [`next_task`](Self::next_task) that gives other tasks too when none is open: those that were running when the batch was
    /// made and whose job may not be known to have ended, that have failed, or that are done. Each of them is given again once in
    /// the life of a batch. What a living job runs is not given.
    ///
    /// # Errors
    /// Those of [`next_task`](Self::next_task).
    ///
    /// ```
    /// use mpisync::Batch;
    /// use mpisync::batch::{Again, State};
    ///
    /// let mut batch = Batch::local().initial_states([State::Done, State::Failed]).build()?;
    /// let mut again = Vec::new();
    /// while let Some(task) = batch.next_task_with(Again { failed: true, ..Again::default() })? {
    ///     again.push(task.index());
    ///     task.done()?;
    /// }
    /// assert_eq!(again, [1]);
    /// # Ok::<(), mpisync::batch::BatchError>(())
    /// ```
    #[track_caller]
    pub fn next_task_with(&mut self, again: Again) -> Result<Option<Task<'_>>, BatchError> {
        self.next(again, false)
    }

    /// The next task; when there is none now, and `waits`, once no worker has any that may come back.
    #[track_caller]
    fn next(&mut self, again: Again, waits: bool) -> Result<Option<Task<'_>>, BatchError> {
        self.base.check_usable()?;
        let found = if self.worker.leads() {
            let found = self.find_for_worker(again, waits);
            if self.worker.has_others()
                && let Err(error) = self.worker.share(&Call::new(&found))
            {
                self.drop_task(|| Ballot::Open);
                return Err(error);
            }
            found?
        } else {
            // A task that was forgotten.
            self.drop_task(|| Ballot::Open);
            match self.worker.collect()? {
                Call::Task(found) => Some(found),
                Call::NoTask => None,
                Call::Failed(found) => {
                    let rank = self.worker.members()[0];
                    return Err(BatchError::OtherRank { rank, found });
                }
            }
        };
        let Some(Found { task, was, round }) = found else {
            return Ok(None);
        };
        self.round = round;
        if !self.worker.leads() {
            self.hand = Some(Hand {
                task,
                claim: None,
                said: None,
            });
        }
        Ok(Some(Task::new(self, task, was)))
    }

    fn find_for_worker(&mut self, again: Again, waits: bool) -> Result<Option<Found>, BatchError> {
        self.settle()?;
        if self.worker.has_others() {
            if let Some(error) = &self.broken {
                return Err(error.clone());
            }
            self.worker.check_present()?;
        }
        let mut nap = FIRST_NAP;
        let (mut taken, mut open) = (0, 0);
        loop {
            let found = self.find(again)?;
            if found.is_some() || !waits {
                return Ok(found);
            }
            // In this order: what was taken a moment ago may be open by now.
            if !self.is_any(Entry::Taken, &mut taken) && !self.is_any(Entry::Open, &mut open) {
                return Ok(None);
            }
            self.rest(&mut nap);
        }
    }

    /// Whether any task has come to this; `seen` is one that had when this was asked last.
    fn is_any(&self, entry: Entry, seen: &mut usize) -> bool {
        if *seen < self.tasks && self.books().entry(*seen) == entry {
            return true;
        }
        let found = self.books().find(entry, 0);
        *seen = found.unwrap_or(0);
        found.is_some()
    }

    /// Gives the core away for a while, and lets MPI make progress.
    fn rest(&self, nap: &mut Duration) {
        const LONGEST: Duration = Duration::from_millis(10);
        self.base.block().domain().progress();
        std::thread::sleep(*nap);
        *nap = LONGEST.min(*nap * 2);
    }

    /// Takes a task for this worker, and claims it where there is a state directory.
    fn find(&mut self, again: Again) -> Result<Option<Found>, BatchError> {
        let offers = Offers {
            elsewhere: again.running,
            failed: again.failed,
            done: again.done,
        };
        loop {
            let Some(taken) = self.books().take(offers) else {
                if self.look_after_others() {
                    continue;
                }
                return Ok(None);
            };
            if let Some(found) = self.claim(taken, again)? {
                return Ok(Some(found));
            }
        }
    }

    /// Opens tasks of ranks and jobs that have died; whether there are any.
    #[cold]
    fn look_after_others(&self) -> bool {
        self.books().bury() > 0 || self.sweep()
    }

    /// Makes a task that the ledger gave this rank the one in hand, if no other job has it.
    #[inline]
    fn claim(&mut self, taken: Taken, again: Again) -> Result<Option<Found>, BatchError> {
        let Taken { task, was } = taken;
        let (mut claim, mut was) = (None, State::from(was));
        if let Some(directory) = &self.directory {
            match directory.claim(task, again) {
                Ok(Claimed::Mine(mine, found)) => (claim, was) = (Some(mine), found),
                Ok(Claimed::Over(state)) => {
                    self.books().finish(task, Entry::from(state));
                    return Ok(None);
                }
                Ok(Claimed::Taken(_)) => {
                    self.books().finish(task, Entry::Elsewhere);
                    return Ok(None);
                }
                Err(error) => {
                    self.books().finish(task, Entry::Invalid);
                    self.note_problem(error)?;
                    return Ok(None);
                }
            }
        }
        self.hand = Some(Hand {
            task,
            claim,
            said: None,
        });
        let round = self.round + 1;
        Ok(Some(Found { task, was, round }))
    }

    /// Looks what has become of tasks that other jobs run; whether any is open.
    fn sweep(&self) -> bool {
        const OFTEN: Duration = Duration::from_millis(500);
        /// The most of its time that a rank spends with that, one part in so many.
        const SHARE: u32 = 10;
        let Some(directory) = &self.directory else {
            return false;
        };
        let start = Instant::now();
        if self.next_sweep.get().is_some_and(|next| start < next) {
            return false;
        }
        let mut opened = false;
        let mut from = 0;
        while let Some(task) = self.books().find(Entry::Elsewhere, from) {
            from = task + 1;
            let entry = match directory.outlook(task) {
                Ok(None) => continue,
                Ok(Some(state)) => Entry::from(state),
                Err(error) => {
                    // Told, and left alone; strict batches have found it when they were made.
                    self.problems.borrow_mut().push(error);
                    Entry::Invalid
                }
            };
            opened |= entry == Entry::Open;
            self.books().set(task, entry);
        }
        let pause = OFTEN.min(directory.stale_after() / 4);
        let pause = pause.max(start.elapsed() * SHARE);
        self.next_sweep.set(Some(Instant::now() + pause));
        opened
    }

    fn note_problem(&self, error: DirectoryError) -> Result<(), BatchError> {
        if self.is_strict {
            return Err(error.into());
        }
        self.problems.borrow_mut().push(error);
        Ok(())
    }

    /// Says what this rank makes of the task in hand; the first rank also what has become of it.
    fn put_down(&mut self, ballot: Ballot) -> Result<(), BatchError> {
        self.base.check_usable()?;
        let Some(hand) = &mut self.hand else {
            return Ok(());
        };
        hand.said = Some(ballot);
        if self.worker.leads() {
            return self.settle();
        }
        self.vote();
        Ok(())
    }

    /// [`put_down`](Self::put_down) for a task that is dropped, which may not wait for others.
    fn drop_task(&mut self, ballot: impl FnOnce() -> Ballot) {
        let Some(hand) = &mut self.hand else {
            return;
        };
        if hand.said.is_some() {
            return;
        }
        if self.base.check_usable().is_err() {
            self.hand = None;
            return;
        }
        hand.said = Some(ballot());
        if !self.worker.leads() {
            self.vote();
        } else if !self.worker.has_others() {
            // The caller has no way to see an error; who wants one says `reopen` or `failed`.
            if let Err(BatchError::Directory(error)) = self.settle() {
                self.problems.borrow_mut().push(error);
            }
        }
    }

    fn vote(&mut self) {
        if let Some(ballot) = self.hand.take().and_then(|hand| hand.said) {
            self.worker.vote(self.round, &ballot);
        }
    }

    /// On the first rank: hears the others about the task in hand, if it was put down, and says what has become of it.
    fn settle(&mut self) -> Result<(), BatchError> {
        let Some(mut hand) = self.hand.take() else {
            return Ok(());
        };
        let mine = hand.said.take().unwrap_or(Ballot::Open);
        if !self.worker.has_others() {
            return self.record(hand, mine);
        }
        let heard = self.worker.ballots(self.round);
        let (ballot, heard) = match heard {
            Ok(others) => (worker::count(&[&[mine], &others[..]].concat()), Ok(())),
            // Nobody knows what the one that is missing would have said.
            Err(error) => {
                self.broken = Some(error.clone());
                (Ballot::Open, Err(error))
            }
        };
        self.record(hand, ballot).and(heard)
    }

    /// Writes down what has become of a task.
    fn record(&self, hand: Hand, ballot: Ballot) -> Result<(), BatchError> {
        let (state, reason) = match &ballot {
            Ballot::Done => (State::Done, None),
            Ballot::Failed(reason) => (State::Failed, Some(reason.as_str())),
            Ballot::Open | Ballot::Left => (State::Open, None),
        };
        let written = match hand.claim {
            Some(claim) => claim.settle(state, reason),
            None => Ok(()),
        };
        let entry = match &written {
            Ok(()) => Entry::from(state),
            Err(_) => Entry::Invalid,
        };
        self.books().finish(hand.task, entry);
        Ok(written?)
    }

    /// What has become of a task, here or in another job. Not collective.
    ///
    /// # Errors
    /// [`BatchError::NoSuchTask`], [`LockError::Finalized`](crate::LockError::Finalized), and [`BatchError::Directory`] where the
    /// state of a task that another job runs cannot be read.
    pub fn state(&self, task: usize) -> Result<State, BatchError> {
        self.base.check_usable()?;
        self.check_task(task)?;
        match (self.books().entry(task), &self.directory) {
            (Entry::Elsewhere, Some(directory)) => Ok(directory.state(task)?),
            (entry, _) => Ok(State::from(entry)),
        }
    }

    /// Sets a task's state, which no worker runs: to [`State::Open`], to have it run again. Not collective.
    ///
    /// # Errors
    /// [`BatchError::Busy`], [`BatchError::SetRunning`], [`BatchError::NoSuchTask`],
    /// [`LockError::Finalized`](crate::LockError::Finalized), and [`BatchError::Directory`], also where another job runs the
    /// task.
    pub fn set_state(&self, task: usize, state: State) -> Result<(), BatchError> {
        self.base.check_usable()?;
        self.check_task(task)?;
        if state == State::Running {
            return Err(BatchError::SetRunning);
        }
        if self.books().entry(task) == Entry::Taken {
            return Err(BatchError::Busy { task });
        }
        if let Some(directory) = &self.directory {
            directory.set(task, state)?;
        }
        if self.books().set(task, Entry::from(state)) {
            return Ok(());
        }
        Err(BatchError::Busy { task })
    }

    /// How many tasks are open, running, done, and so on, as far as this batch knows. Not collective. It looks at a byte a task.
    ///
    /// # Errors
    /// [`LockError::Finalized`](crate::LockError::Finalized).
    pub fn summary(&self) -> Result<Summary, BatchError> {
        self.base.check_usable()?;
        Ok(Summary::from(self.books().counts()))
    }

    /// Waits until no task runs, in this batch or in another job on the same directory; how it stands then. Not collective. A
    /// task that was put back, or whose rank has died, is open then: go on with [`next_task`](Self::next_task).
    ///
    /// # Errors
    /// [`LockError::Finalized`](crate::LockError::Finalized).
    pub fn wait_all(&self) -> Result<Summary, BatchError> {
        self.wait_all_timeout(Duration::MAX)
    }

    /// [`wait_all`](Self::wait_all) that waits for `limit` at most.
    ///
    /// # Errors
    /// [`BatchError::Timeout`], [`LockError::Finalized`](crate::LockError::Finalized).
    pub fn wait_all_timeout(&self, limit: Duration) -> Result<Summary, BatchError> {
        let start = Instant::now();
        let mut nap = INSPECTION;
        let (mut taken, mut elsewhere) = (0, 0);
        loop {
            self.base.check_usable()?;
            // On all ranks: the first one of this worker may be the one that has died.
            self.look_after_others();
            if !self.is_any(Entry::Taken, &mut taken)
                && !self.is_any(Entry::Elsewhere, &mut elsewhere)
            {
                return self.summary();
            }
            if start.elapsed() >= limit {
                return Err(BatchError::Timeout { waited: limit });
            }
            self.rest(&mut nap);
        }
    }

    /// What this rank has found wrong with tasks that were left alone for that, as invalid.
    pub fn problems(&self) -> Vec<DirectoryError> {
        self.problems.borrow().clone()
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
    /// Those of [`WindowController::close`].
    #[cfg(feature = "mpi")]
    #[track_caller]
    pub fn close(mut self) -> Result<(), FenceError> {
        self.leave();
        self.base.meet_to_close()
    }

    fn leave(&mut self) {
        if let Some(hand) = self.hand.take()
            && self.worker.leads()
        {
            // A task that was dropped, of which the others have not been heard.
            let ballot = match hand.said.clone() {
                Some(Ballot::Failed(reason)) => Ballot::Failed(reason),
                _ => Ballot::Open,
            };
            let _nobody_to_tell = self.record(hand, ballot);
        }
        self.worker.leave();
    }

    #[inline]
    fn books(&self) -> Books<'_> {
        Books {
            here: self.ledger.as_deref(),
            base: &self.base,
        }
    }

    fn name_of(&self, task: usize) -> String {
        match &self.names {
            Some(names) => names[task].clone(),
            None => builder::number(task, self.tasks),
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
        if self.base.check_usable().is_ok() {
            self.leave();
        }
    }
}

impl From<Entry> for State {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Open => State::Open,
            Entry::Elsewhere | Entry::Taken => State::Running,
            Entry::Done => State::Done,
            Entry::Failed => State::Failed,
            Entry::Invalid => State::Invalid,
        }
    }
}

/// For a task that no rank of this batch has.
impl From<State> for Entry {
    fn from(state: State) -> Self {
        match state {
            State::Open => Entry::Open,
            State::Running => Entry::Elsewhere,
            State::Done => Entry::Done,
            State::Failed => Entry::Failed,
            State::Invalid => Entry::Invalid,
        }
    }
}

impl From<crate::ledger::Counts> for Summary {
    fn from(counts: crate::ledger::Counts) -> Self {
        let of = |entry: Entry| counts[entry as usize];
        Summary {
            open: of(Entry::Open),
            running: of(Entry::Elsewhere) + of(Entry::Taken),
            done: of(Entry::Done),
            failed: of(Entry::Failed),
            invalid: of(Entry::Invalid),
        }
    }
}

/// What has become of the tasks, where the root is on this node, and what this rank's worker does; a snapshot that may be out of
/// date.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = self.ledger.as_ref();
        f.debug_struct("Batch")
            .field("name", &self.base.name())
            .field("rank", &self.rank())
            .field("size", &self.size())
            .field("root", &self.root())
            .field("tasks", &self.tasks)
            .field(
                "summary",
                &here.map(|ledger| Summary::from(ledger.counts())),
            )
            .field("worker", &self.worker.number())
            .field("worker_rank", &self.worker.rank())
            .field("runs", &self.hand.as_ref().map(|hand| hand.task))
            .finish_non_exhaustive()
    }
}
