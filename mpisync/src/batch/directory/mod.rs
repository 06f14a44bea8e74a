//! The state directory of a batch of tasks: what each task's state is, and which job runs it.
//!
//! Its format is that of the Python package pshmem: the file `ROOT/NAME/state` holds one of the
//! words OPEN, RUNNING, DONE, FAILED and INVALID, and is replaced whole. Several jobs may work on
//! one directory, on several hosts with one file system; files `claim.1`, `claim.2`, … in a task's
//! folder tell them which of them has the task. They are not removed, for that is what makes it
//! sure that one job alone has it. `ROOT/NAME/reason` says why a task has failed.
//!
//! Where a file system gives files the times of the hosts that change them (Lustre and GPFS do),
//! the clocks of the hosts have to agree to much less than [`Options::stale_after`].
//!
//! Others who may write into the directory may put other things there than jobs do. Links are not
//! followed, but for those in the path of the directory itself; a task whose folder or whose files
//! are links, FIFOs or the like is an [error](DirectoryError::NotAFile), and left alone; of a file
//! no more is read than it should have. Jobs write new files of their own only, and then give them
//! the names that they should have.

mod acquire;
mod claim;
mod claimant;
mod clock;
mod create;
mod error;
mod file;
mod heartbeat;
mod open;
mod probe;
#[cfg(feature = "mpi")]
mod same;
mod step;
#[cfg(test)]
mod tests;

pub use crate::batch::directory::claim::{Again, Claim, Claimed};
pub use crate::batch::directory::claimant::Claimant;
pub(crate) use crate::batch::directory::create::digits;
pub use crate::batch::directory::error::DirectoryError;
#[cfg(feature = "mpi")]
pub(crate) use crate::batch::directory::same::Sign;

use crate::batch::directory::claimant::Owner;
use crate::batch::directory::clock::Clock;
use crate::batch::directory::file::Folder;
use crate::batch::directory::heartbeat::Heart;
use crate::batch::directory::open::Root;
use crate::batch::{State, Summary};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

/// How a directory is used. The same on all jobs that use it.
///
/// ```
/// use mpisync::batch::directory::Options;
/// use std::time::{Duration, SystemTime};
///
/// let options = Options::default().durable(false).stale_after(Duration::from_secs(30));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    durable: bool,
    stale_after: Duration,
}

impl Options {
    /// The shortest time after which a job can be taken for dead: file systems tell times no finer
    /// than some milliseconds, and the threads that give heartbeats are not woken in time.
    pub const LEAST_STALE_AFTER: Duration = Duration::from_millis(10);

    fn check(&self) -> Result<(), DirectoryError> {
        let (time, least) = (self.stale_after, Self::LEAST_STALE_AFTER);
        match time >= least {
            true => Ok(()),
            false => Err(DirectoryError::StaleAfter { time, least }),
        }
    }

    /// Whether states are on disk before a call returns, so that they outlive a machine that fails.
    /// Defaults to true.
    ///
    /// Without it each task costs less, and whoever runs tasks of a tenth of a second may want
    /// that.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// After how long without a heartbeat a job is taken for dead, so that others take over its
    /// tasks. Defaults to 2 minutes.
    ///
    /// Jobs give a heartbeat four times as often. It should be longer than the file system ever
    /// hangs, and than the attributes of its files may be cached (a minute with NFS). Less than
    /// [`LEAST_STALE_AFTER`](Self::LEAST_STALE_AFTER) is an error of whoever uses a directory with
    /// it.
    pub fn stale_after(mut self, time: Duration) -> Self {
        self.stale_after = time;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            durable: true,
            stale_after: Duration::from_secs(120),
        }
    }
}

/// The state directory of a batch of tasks.
///
/// Tasks are called by their number in [`names`](Self::names). One that holds claims has a thread
/// that gives heartbeats for them; it ends when the directory and all of its claims are dropped.
///
/// ```
/// use mpisync::batch::directory::{Directory, Options};
///
/// # let root = std::env::temp_dir().join(format!("mpisync-directory-{}", std::process::id()));
/// let names = ["monday".to_owned(), "tuesday".to_owned()];
/// Directory::create(&root, &names, Options::default())?;
///
/// // Another program looks how far it is.
/// let tasks = Directory::open(&root, Options::default())?;
/// assert_eq!(tasks.names(), names);
/// assert_eq!(tasks.summary()?.to_string(), "0 done, 0 failed, 0 running, 2 open");
/// # std::fs::remove_dir_all(&root).unwrap();
/// # Ok::<(), mpisync::batch::directory::DirectoryError>(())
/// ```
pub struct Directory {
    shared: Arc<Shared>,
}

/// What a directory has in common with its claims.
struct Shared {
    root: Arc<Root>,
    names: Arc<[String]>,
    options: Options,
    heart: Heart,
    clock: Clock,
    /// The heartbeats that were found far in the future, of the claims in these files, and since
    /// when.
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
    /// The most tasks that a [`Batch`](crate::Batch) with a state directory can have: that many
    /// folders take minutes to make, and some file systems have no room for more than ten times as
    /// many in one directory.
    pub const MAX_TASKS: usize = 1_000_000;

    /// Makes the root and the folders of the tasks, as far as they are not there. Tasks without a
    /// state are open after it, and so are invalid ones; the others stay as they are. Several jobs
    /// may do so at once.
    ///
    /// A state that cannot be read is no error here, and is left as it is.
    ///
    /// # Errors
    /// [`Name`](DirectoryError::Name) and [`NameTwice`](DirectoryError::NameTwice) where there
    /// cannot be such folders, [`StaleAfter`](DirectoryError::StaleAfter), and those of the file
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

    /// A directory that another rank of the job has made. Looks at nothing.
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
            heart: Heart::new(options.stale_after / 4),
            options,
            clock: Clock::default(),
            ahead: Mutex::default(),
            owner: OnceLock::new(),
        };
        Directory {
            shared: Arc::new(shared),
        }
    }

    /// One that is there, with the tasks that are in it, in the order of their names. Folders
    /// without a state file are no tasks.
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

    /// After how long without a heartbeat a job is taken for dead.
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
    /// [`HalfWritten`](DirectoryError::HalfWritten) where there is no state in the file,
    /// [`NotAFile`](DirectoryError::NotAFile) where it is none,
    /// [`Missing`](DirectoryError::Missing) where the task has no folder, and those of the file
    /// system.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn state(&self, task: usize) -> Result<State, DirectoryError> {
        let folder = self.shared.folder(task);
        match folder.state()? {
            Some(found) => Ok(found.state),
            None => folder.check().map(|()| State::Open),
        }
    }

    /// The states of all tasks.
    pub(crate) fn states(&self) -> Vec<Result<State, DirectoryError>> {
        let tasks = 0..self.names().len();
        tasks.map(|task| self.state(task)).collect()
    }

    /// How many tasks are in which state. Those whose state cannot be read count as invalid.
    ///
    /// # Errors
    /// Where the directory itself cannot be read.
    pub fn summary(&self) -> Result<Summary, DirectoryError> {
        // Otherwise all tasks would be called invalid.
        self.shared.root.handle()?;
        let mut summary = Summary::default();
        for state in self.states() {
            summary.count(state.unwrap_or(State::Invalid));
        }
        Ok(summary)
    }

    /// Why a task has failed; `None` if it has not, or nobody said why. No more than 64 KiB of it
    /// are kept or read.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn reason(&self, task: usize) -> Option<String> {
        let folder = self.shared.folder(task);
        // Of a job that died between the reason and the state only the reason is left.
        let found = folder.state().ok().flatten()?;
        (found.state == State::Failed).then(|| folder.reason())?
    }

    /// The state of a task, and why it has failed, if it has and somebody said so: in one, where
    /// both are of interest.
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

    /// When the state of a task was written last, by the clock of the file system.
    ///
    /// # Errors
    /// [`Missing`](DirectoryError::Missing) where it has none, and those of the file system.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn changed(&self, task: usize) -> Result<SystemTime, DirectoryError> {
        let written = self.shared.folder(task).written()?;
        Ok(SystemTime::UNIX_EPOCH + written)
    }

    /// What is wrong with a task, if that is about this one alone, and not about the directory.
    pub(crate) fn flaw(&self, task: usize) -> Option<DirectoryError> {
        let state = self.state(task).err();
        let error = state.or_else(|| self.claimant(task).err())?;
        self.is_flaw(task, &error).then_some(error)
    }

    /// Whether an error is about this task alone.
    pub(crate) fn is_flaw(&self, task: usize, error: &DirectoryError) -> bool {
        self.shared.folder(task).is_cause_of(error)
    }

    /// Who runs a task; `None` if nobody does who lives and makes claims.
    ///
    /// # Errors
    /// [`Missing`](DirectoryError::Missing) where the task has no folder, and those of the file
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
