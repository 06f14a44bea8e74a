//! The errors of a batch.

use crate::batch::Summary;
use crate::batch::directory::DirectoryError;
use crate::error::{CollectiveError, CreateError, LockError};
use std::time::Duration;

/// Why a call of a batch failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The ranks could not make the batch.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The state directory, or a task in it, cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// This rank cannot use the state directory any more: the file system is full, read-only,
    /// unmounted, or the like. No task becomes invalid. The task that this rank was about to run,
    /// or whose outcome it could not write, is open again for other workers, which continue.
    #[error(
        "rank {rank} cannot use the state directory: {error}; its task is open again, and other workers go on with it"
    )]
    FileSystem {
        /// The rank.
        rank: i32,
        /// The failed operation and its file.
        error: DirectoryError,
    },
    /// Not all tasks have been done; see [`Summary::all_done`].
    #[error(
        "not all tasks are done: {0}; see why by `Batch::problems`, `Directory::reason` or `mpisync-batch status DIR`, and run \
         them again (`next_task_with`, `mpisync-batch reset DIR`)"
    )]
    NotAllDone(Summary),
    /// MPI was finalized, or a host is lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A rank that acts for others, the root or the first one of this worker, got an error, whose
    /// details it has.
    #[error("rank {rank}, which acts for this one, failed: {found}")]
    OtherRank {
        /// The rank.
        rank: i32,
        /// The text of its error.
        found: String,
    },
    /// A rank of this worker has died. The tasks that the worker had are open again.
    #[error(
        "rank {rank} of this worker has died; the worker's tasks are open again, for other workers"
    )]
    RankDied {
        /// The rank, in the batch's communicator.
        rank: i32,
    },
    /// A rank of this worker has ended: its universe was dropped, or it finalizes MPI. The tasks that the
    /// worker had are open again.
    #[error(
        "rank {rank} of this worker has ended; the worker's tasks are open again, for other workers"
    )]
    RankEnded {
        /// The rank, in the batch's communicator.
        rank: i32,
    },
    /// A rank of this worker has dropped the batch, or has left the `#[collective]` call in which the
    /// others use it.
    #[error(
        "rank {rank} of this worker has dropped the batch, or has left the collective call; all ranks of a worker have to make the same calls, until there is no \
         task left"
    )]
    RankLeft {
        /// The rank, in the batch's communicator.
        rank: i32,
    },
    /// The first rank of a worker has said that a task is done, and others have dropped it. The task
    /// has failed.
    #[error(
        "task {task} is done on the first rank of its worker, and the ranks {ranks:?} of the worker have dropped it and not \
         said what became of it, so it has failed; all ranks of a worker have to end each task (`done`, `failed`, `reopen`)"
    )]
    Dropped {
        /// The name of the task.
        task: String,
        /// The ranks that have dropped it, in the batch's communicator.
        ranks: Vec<i32>,
    },
    /// A worker has had a task for longer than it may. That counts as a failure: the task has failed,
    /// or is open again if it has tries left.
    #[error(
        "task {task} took {took:.1?}, which is longer than its limit of {limit:?} (`task_timeout`); this counts as a failed try, \
         and other workers may have run the task since; give tasks more time, or make them shorter"
    )]
    Overdue {
        /// The name of the task.
        task: String,
        /// How long the worker has had it.
        took: Duration,
        /// The limit.
        limit: Duration,
    },
    /// The ranks of a worker are not in the same call.
    #[error("the ranks of a worker have to make the same calls: {0}")]
    Diverged(CollectiveError),
    /// There is no such task.
    #[error("there is no task {task}; the batch has {tasks}, counted from 0")]
    NoSuchTask {
        /// The requested task.
        task: usize,
        /// The number of tasks.
        tasks: usize,
    },
    /// [`next_tasks`](crate::Batch::next_tasks) was called for no tasks.
    #[error("`next_tasks` was asked for no task at all; ask for 1 at least")]
    ZeroTasks,
    /// A worker of this batch runs the task.
    #[error(
        "a worker of this batch runs task {task} and will set its state; set only the states of tasks that do not run"
    )]
    Busy {
        /// The task.
        task: usize,
    },
    /// Only a worker can set a task to running.
    #[error(
        "only a worker that runs a task sets it to running; set it to open, done, failed or invalid"
    )]
    SetRunning,
    /// The number of initial states is not that of the tasks.
    #[error("there are {states} initial states for {tasks} tasks; pass one for each")]
    States {
        /// The number of states.
        states: usize,
        /// The number of tasks.
        tasks: usize,
    },
    /// Both initial states and a state directory were passed.
    #[error("both initial states and the state directory {0:?} were passed; pass only one of them")]
    StatesAndDirectory(std::path::PathBuf),
    /// Tasks were still running when the time was up.
    #[error("tasks were still running after {waited:?}")]
    Timeout {
        /// The limit of the wait.
        waited: Duration,
    },
}
