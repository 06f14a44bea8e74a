//! What can go wrong with a batch.

use crate::batch::Summary;
use crate::batch::directory::DirectoryError;
use crate::error::{CollectiveError, CreateError, LockError};
use std::time::Duration;

/// Why a batch could not be made, or has no task for this rank.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The ranks could not make it.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The state directory cannot be used, or a task in it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// This rank cannot go on with the state directory: the file system is full, may not be
    /// written, is gone, or the like. No task is invalid for that. The one that this rank was about
    /// to run, or could not write the outcome of, is given back for other workers, which go on.
    #[error(
        "rank {rank} cannot use the state directory: {error}; the task that it was at is given back, and other workers go on \
         with it"
    )]
    FileSystem {
        /// The rank.
        rank: i32,
        /// What failed, with which file.
        error: DirectoryError,
    },
    /// Not all tasks have been done; see [`Summary::all_done`].
    #[error(
        "not all tasks are done: {0}; see why by `Batch::problems`, `Directory::reason` or `mpisync-batch status DIR`, and run \
         them again (`next_task_with`, `mpisync-batch reset DIR`)"
    )]
    NotAllDone(Summary),
    /// MPI was finalized.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The rank that acts for others, the root or the first of this worker, found an error; its own
    /// copy says more.
    #[error("rank {rank}, which acts for this one, found: {found}")]
    OtherRank {
        /// The rank.
        rank: i32,
        /// What it found.
        found: String,
    },
    /// A rank of this worker has died. Its task is open again.
    #[error("rank {rank} of this worker has died; its task is for other workers now")]
    RankDied {
        /// The rank, in the batch's communicator.
        rank: i32,
    },
    /// A rank of this worker has dropped the batch, and the others went on with it.
    #[error(
        "rank {rank} of this worker has dropped the batch; all ranks of a worker have to make the same calls, until there is no \
         task left"
    )]
    RankLeft {
        /// The rank, in the batch's communicator.
        rank: i32,
    },
    /// The ranks of a worker are not in the same call.
    #[error("the ranks of a worker have to make the same calls: {0}")]
    Diverged(CollectiveError),
    /// There is no such task.
    #[error("there is no task {task}; the batch has {tasks}, counted from 0")]
    NoSuchTask {
        /// The task that was named.
        task: usize,
        /// How many there are.
        tasks: usize,
    },
    /// A worker of this batch runs the task.
    #[error(
        "task {task} is being run in this batch, and its worker says what becomes of it; set the state of tasks that nobody \
         runs"
    )]
    Busy {
        /// The task.
        task: usize,
    },
    /// A state that a task cannot be set to by hand.
    #[error("a task is running because a worker runs it; set it to open, done, failed or invalid")]
    SetRunning,
    /// As many initial states as tasks are needed.
    #[error("there are {states} initial states for {tasks} tasks; pass one for each")]
    States {
        /// How many states were passed.
        states: usize,
        /// How many tasks there are.
        tasks: usize,
    },
    /// Initial states were passed, and a state directory has its own.
    #[error(
        "initial states were passed, and the tasks' states are those of the state directory {0:?}; leave one of them out"
    )]
    StatesAndDirectory(std::path::PathBuf),
    /// The time was up.
    #[error("tasks were still running after {waited:?}")]
    Timeout {
        /// How long this rank was ready to wait.
        waited: Duration,
    },
}
