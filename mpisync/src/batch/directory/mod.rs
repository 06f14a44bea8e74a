//! The state directory of a batch: the state of each task, and which job runs it.
//!
//! The format is that of the Python package pshmem: the file `ROOT/NAME/state` holds one of the
//! words OPEN, RUNNING, DONE, FAILED and INVALID, and is replaced as a whole. Several jobs may work
//! on one directory, on several hosts that share a file system. Files `claim.1`, `claim.2`, … in a
//! task's folder say which job has the task. They are never removed: that guarantees that only one
//! job has it. `ROOT/NAME/reason` has the reason why a task failed, and `ROOT/NAME/tries` how often
//! it was begun, if jobs limit that.
//!
//! On some file systems (Lustre, GPFS) a file gets the time of the host that changes it. There the
//! clocks of the hosts must differ by much less than [`Options::stale_after`].
//!
//! Other users with write access may put anything into the directory. Links are not followed,
//! except in the path of the directory itself. A task whose folder or whose files are links, FIFOs
//! or the like is an [error](DirectoryError::NotAFile) and is left alone. No more of a file is read
//! than it should hold. Jobs only write new files of their own, and then rename them.

mod claim;
mod claimant;
mod clock;
mod create;
mod error;
mod file;
mod heartbeat;
mod marker;
mod open;
mod options;
mod probe;
#[cfg(test)]
mod tests;
mod tries;

pub use crate::batch::directory::claim::{Again, Claim, Claimed};
pub use crate::batch::directory::claimant::Claimant;
pub(crate) use crate::batch::directory::create::digits;
pub use crate::batch::directory::error::DirectoryError;
pub(crate) use crate::batch::directory::marker::Marker;
pub use crate::batch::directory::options::Options;
pub(crate) use crate::batch::directory::probe::{Probe, Sign};

use crate::batch::directory::claim::{Acquired, Purpose};
use crate::batch::directory::claimant::Owner;
use crate::batch::directory::clock::Clock;
use crate::batch::directory::file::Folder;
use crate::batch::directory::heartbeat::Heartbeats;
use crate::batch::directory::open::Root;
use crate::batch::{State, Summary};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

/// The state directory of a batch.
///
/// A task is identified by its index in [`names`](Self::names). A directory with claims has a
/// thread that gives heartbeats for them; it ends when the directory and all of its claims are
/// dropped.
///
/// ```
/// use mpisync::batch::directory::{Directory, Options};
///
/// # let root = std::env::temp_dir().join(format!("mpisync-directory-{}", std::process::id()));
/// let names = ["monday".to_owned(), "tuesday".to_owned()];
/// Directory::create(&root, &names, Options::default())?;
///
/// // Another program looks at the progress.
/// let tasks = Directory::open(&root, Options::default())?;
/// assert_eq!(tasks.names(), names);
/// assert_eq!(tasks.summary()?.to_string(), "0 done, 0 failed, 0 running, 2 open");
/// # std::fs::remove_dir_all(&root).unwrap();
/// # Ok::<(), mpisync::batch::directory::DirectoryError>(())
/// ```
pub struct Directory {
    shared: Arc<Shared>,
}

/// The parts of a directory that its claims use, too.
struct Shared {
    root: Arc<Root>,
    names: Arc<[String]>,
    options: Options,
    heartbeats: Heartbeats,
    clock: Clock,
    /// By the file of a claim: a heartbeat far in the future, and when it was first seen.
    ahead: Mutex<HashMap<PathBuf, (Duration, Instant)>>,
    owner: OnceLock<Owner>,
}

impl Shared {
    fn folder(&self, task: usize) -> Folder {
        Folder::new(&self.root, &self.names[task])
    }

    /// This process.
    fn owner(&self) -> &Owner {
        self.owner.get_or_init(Owner::this)
    }
}

impl Directory {
    /// The most tasks that a [`Batch`](crate::Batch) with a state directory can have. That many
    /// folders take minutes to make, and some file systems allow only ten times as many in one
    /// directory.
    pub const MAX_TASKS: usize = 1_000_000;

    /// Makes the root and the folders of the tasks that are missing. Opens tasks that have no state
    /// or are invalid; the others keep their states. Several jobs may do so at the same time.
    ///
    /// A state that cannot be read is no error here, and stays as it is.
    ///
    /// # Errors
    /// [`Name`](DirectoryError::Name) and [`NameTwice`](DirectoryError::NameTwice) for names that
    /// folders cannot have, [`StaleAfter`](DirectoryError::StaleAfter), and those of the file
    /// system.
    pub fn create(
        root: impl Into<PathBuf>,
        names: &[String],
        options: Options,
    ) -> Result<Self, DirectoryError> {
        create::check(names)?;
        options.check()?;
        let directory = Self::join(root, names, options);
        directory.make()?;
        Ok(directory)
    }

    /// A directory that another rank of the job has made. Accesses no file.
    pub(crate) fn join(
        root: impl Into<PathBuf>,
        names: impl Into<Arc<[String]>>,
        options: Options,
    ) -> Self {
        Self::with(Root::new(root.into()), names.into(), options)
    }

    fn with(root: Root, names: Arc<[String]>, options: Options) -> Self {
        let shared = Shared {
            root: Arc::new(root),
            names,
            heartbeats: Heartbeats::new(options.stale_after / 4, options.task_timeout),
            options,
            clock: Clock::default(),
            ahead: Mutex::default(),
            owner: OnceLock::new(),
        };
        Directory {
            shared: Arc::new(shared),
        }
    }

    /// Opens an existing directory, with its tasks in the order of their names. Folders without a
    /// state file are not tasks.
    ///
    /// # Errors
    /// [`Missing`](DirectoryError::Missing), [`NotADirectory`](DirectoryError::NotADirectory) and
    /// [`StaleAfter`](DirectoryError::StaleAfter), and those of the file system.
    pub fn open(root: impl Into<PathBuf>, options: Options) -> Result<Self, DirectoryError> {
        options.check()?;
        let root = Root::new(root.into());
        let names = create::find(&root)?;
        Ok(Self::with(root, names.into(), options))
    }

    /// The directory with the tasks' folders.
    pub fn root(&self) -> &Path {
        self.shared.root.path()
    }

    /// The time without a heartbeat after which a job is taken for dead.
    pub(crate) fn stale_after(&self) -> Duration {
        self.shared.options.stale_after
    }

    /// The names of the tasks, which are those of their folders.
    pub fn names(&self) -> &[String] {
        &self.shared.names
    }

    /// The state of a task. One without a state file is open.
    ///
    /// # Errors
    /// [`UnknownState`](DirectoryError::UnknownState) and
    /// [`HalfWritten`](DirectoryError::HalfWritten) if the file holds no state,
    /// [`NotAFile`](DirectoryError::NotAFile) if it is not a file,
    /// [`Missing`](DirectoryError::Missing) if the task has no folder, and those of the file
    /// system.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn state(&self, task: usize) -> Result<State, DirectoryError> {
        self.state_since(task).map(|(state, _)| state)
    }

    /// The state of a task, and the time when it was written, by the clock of the file system. No
    /// time if the task has no state file. Both are read at once: cheaper than
    /// [`state`](Self::state) and [`changed`](Self::changed), and never of two different states.
    ///
    /// ```
    /// use mpisync::batch::State;
    /// use mpisync::batch::directory::{Directory, Options};
    ///
    /// # let root = std::env::temp_dir().join(format!("mpisync-since-{}", std::process::id()));
    /// let tasks = Directory::create(&root, &["monday".to_owned()], Options::default())?;
    /// let (state, since) = tasks.state_since(0)?;
    /// assert_eq!(state, State::Open);
    /// assert_eq!(since, Some(tasks.changed(0)?));
    /// # std::fs::remove_dir_all(&root).unwrap();
    /// # Ok::<(), mpisync::batch::directory::DirectoryError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`state`](Self::state).
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn state_since(&self, task: usize) -> Result<(State, Option<SystemTime>), DirectoryError> {
        let folder = self.shared.folder(task);
        match folder.state()? {
            Some(found) => Ok((found.state, Some(SystemTime::UNIX_EPOCH + found.written))),
            None => folder.check().map(|()| (State::Open, None)),
        }
    }

    /// The states of all tasks.
    pub(crate) fn states(&self) -> Vec<Result<State, DirectoryError>> {
        let tasks = 0..self.names().len();
        tasks.map(|task| self.state(task)).collect()
    }

    /// The number of tasks in each state. Those whose state cannot be read count as invalid.
    ///
    /// # Errors
    /// Those of the file system, if the directory itself cannot be read.
    pub fn summary(&self) -> Result<Summary, DirectoryError> {
        // Otherwise all tasks would count as invalid.
        self.shared.root.handle()?;
        let mut summary = Summary::default();
        for state in self.states() {
            summary.count(state.unwrap_or(State::Invalid));
        }
        Ok(summary)
    }

    /// The reason why a task failed; `None` if it did not, or no reason was given. At most 64 KiB
    /// of it are kept and read.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn reason(&self, task: usize) -> Option<String> {
        let folder = self.shared.folder(task);
        // A job that died between writing the reason and the state leaves only the reason.
        let found = folder.state().ok().flatten()?;
        (found.state == State::Failed).then(|| folder.reason())?
    }

    /// The state of a task, and the reason if it failed and one was given.
    ///
    /// # Errors
    /// Those of [`state`](Self::state).
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn outcome(&self, task: usize) -> Result<(State, Option<String>), DirectoryError> {
        let state = self.state(task)?;
        let reason = match state {
            State::Failed => self.shared.folder(task).reason(),
            _ => None,
        };
        Ok((state, reason))
    }

    /// How often workers have begun the task, if that was counted: by batches with
    /// [`tries`](crate::batch::BatchBuilder::tries), since the state was last [set](Self::set). 0 if
    /// the number cannot be read.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn tries(&self, task: usize) -> u32 {
        self.shared.folder(task).tries().unwrap_or(0)
    }

    /// The time when the state of a task was last written, by the clock of the file system.
    ///
    /// # Errors
    /// [`Missing`](DirectoryError::Missing) if it has none, and those of the file system.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn changed(&self, task: usize) -> Result<SystemTime, DirectoryError> {
        let written = self.shared.folder(task).written()?;
        Ok(SystemTime::UNIX_EPOCH + written)
    }

    /// Sets the state of a task, whatever its previous state. Removes the reason of a failure and the
    /// number of tries.
    ///
    /// # Errors
    /// [`Taken`](DirectoryError::Taken) if a living job has the task,
    /// [`Missing`](DirectoryError::Missing) if it has no folder, and those of the file system.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn set(&self, task: usize, state: State) -> Result<(), DirectoryError> {
        self.set_if(task, state, |_| true).map(drop)
    }

    /// [`set`](Self::set) only if `may` is true of the present state. Returns whether the state was
    /// set. A state that cannot be read counts as invalid. The test and the change are one step: no
    /// job can take the task in between.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn set_if(
        &self,
        task: usize,
        state: State,
        may: impl Fn(State) -> bool,
    ) -> Result<bool, DirectoryError> {
        self.set_for(Purpose::Set, task, state, may)
    }

    /// [`set_if`](Self::set_if) for a task of a job that looks alive and is known to have ended:
    /// for example, its claim is dated in the future, or it ran in a container. If that job is
    /// alive after all, it finds that the task is [lost](DirectoryError::Lost).
    ///
    /// # Errors
    /// Those of [`set`](Self::set), except [`Taken`](DirectoryError::Taken).
    ///
    /// # Panics
    /// If there is no task of that number.
    ///
    /// ```
    /// use mpisync::batch::State;
    /// use mpisync::batch::directory::{Again, Claimed, Directory, DirectoryError, Options};
    ///
    /// # let root = std::env::temp_dir().join(format!("mpisync-force-{}", std::process::id()));
    /// let tasks = Directory::create(&root, &["monday".to_owned()], Options::default())?;
    /// let Claimed::Mine(claim, _) = tasks.claim(0, Again::default())? else {
    ///     panic!("it is open");
    /// };
    /// assert!(tasks.force(0, State::Open, |state| state == State::Running)?);
    /// let lost = claim.settle(State::Done, None);
    /// assert!(matches!(lost, Err(DirectoryError::Lost { .. })));
    /// assert_eq!(tasks.state(0)?, State::Open);
    /// # std::fs::remove_dir_all(&root).unwrap();
    /// # Ok::<(), DirectoryError>(())
    /// ```
    pub fn force(
        &self,
        task: usize,
        state: State,
        may: impl Fn(State) -> bool,
    ) -> Result<bool, DirectoryError> {
        // A claim would take the task from a living job.
        let was = match self.state(task) {
            Err(error) if error.is_about_contents() => State::Invalid,
            was => was?,
        };
        if !may(was) {
            return Ok(false);
        }
        self.set_for(Purpose::Force, task, state, may)
    }

    fn set_for(
        &self,
        purpose: Purpose,
        task: usize,
        state: State,
        may: impl Fn(State) -> bool,
    ) -> Result<bool, DirectoryError> {
        match self.shared.acquire(task, purpose)? {
            Acquired::Mine(claim, was) if !may(was.unwrap_or(State::Invalid)) => {
                claim.withdraw();
                claim.leave();
                Ok(false)
            }
            Acquired::Mine(claim, was) => {
                let removed = match was {
                    Some(State::Open) => Ok(()),
                    _ => claim.folder.remove_reason(),
                };
                match removed.and_then(|()| claim.folder.remove_tries()) {
                    Ok(()) => claim.settle(state, None).map(|()| true),
                    Err(error) => {
                        claim.withdraw();
                        claim.leave();
                        Err(error)
                    }
                }
            }
            Acquired::Taken(Some(by)) => Err(DirectoryError::Taken {
                path: self.shared.folder(task).path(),
                by,
            }),
            Acquired::Taken(None) | Acquired::Over(_) => {
                unreachable!("a task that no living job has is taken for this")
            }
        }
    }

    /// The error of a task that does not concern the directory.
    pub(crate) fn flaw(&self, task: usize) -> Option<DirectoryError> {
        let state = self.state(task).err();
        let error = state.or_else(|| self.claimant(task).err())?;
        self.is_flaw(task, &error).then_some(error)
    }

    /// Whether an error concerns this task only.
    pub(crate) fn is_flaw(&self, task: usize, error: &DirectoryError) -> bool {
        self.shared.folder(task).is_cause_of(error)
    }

    /// The process that runs a task; `None` if no living process has a claim on it.
    ///
    /// # Errors
    /// [`Missing`](DirectoryError::Missing) if the task has no folder, and those of the file
    /// system.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn claimant(&self, task: usize) -> Result<Option<Claimant>, DirectoryError> {
        self.shared.claimant(&self.shared.folder(task), 0)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("root", &self.root())
            .field("tasks", &self.shared.names.len())
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// A point between two file operations, where tests let another job act.
#[inline]
fn step(_name: &'static str) {
    #[cfg(test)]
    tests::steps::reached(_name);
}
