//! What can go wrong, with its cause and its cure.

use crate::location::Place;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a controller, a channel or a region could not be made. All ranks of the communicator get an
/// error together, but for [`WrongThread`](Self::WrongThread) and where MPI itself fails.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// MPI was not initialized yet.
    #[error(
        "MPI is not initialized; call `mpisync::initialize()` first and keep the universe alive"
    )]
    NotInitialized,
    /// MPI was finalized already.
    #[error("MPI is finalized; make what the ranks share while the universe is alive")]
    Finalized,
    /// This thread must not call MPI. Local: the other ranks are not told, for that takes MPI.
    #[error(
        "MPI was initialized with the thread level {provided}, with which only the thread that initialized it may make what the \
         ranks share; make it there, or call `mpisync::initialize()`, which asks for `Threading::Multiple`"
    )]
    WrongThread {
        /// The thread level that MPI has.
        provided: String,
    },
    /// The communicator joins two groups of ranks.
    #[error(
        "the communicator is an inter-communicator, which joins two groups of ranks; make it on what \
         `InterCommunicator::merge` returns"
    )]
    InterCommunicator,
    /// This process is the only one of MPI's world, and its launcher has started several. Each of
    /// them would be granted every lock.
    #[error(
        "{launcher} has started several processes ({variable}={value}), and each is alone in {library}, which this program was \
         built with; start it with the launcher of that MPI, or build it with the MPI of this launcher (`MPICC`), or set \
         MPISYNC_SINGLETON=on if each process is meant to be alone"
    )]
    OtherLauncher {
        /// Whose launcher has left the variable.
        launcher: &'static str,
        /// The environment variable that tells of several processes.
        variable: &'static str,
        /// Its value.
        value: String,
        /// The MPI that the program was built with.
        library: String,
    },
    /// An argument, the root or the master, is not a rank of the communicator.
    #[error("{argument} {rank} is not a rank of the communicator, whose ranks are 0 to {}", .size - 1)]
    RankOutOfRange {
        /// What the argument is called.
        argument: &'static str,
        /// The rank that was asked for.
        rank: i32,
        /// The size of the communicator.
        size: i32,
    },
    /// A channel cannot have that many messages, or a shared value that many bytes.
    #[error(
        "there cannot be room for {capacity} messages of {bytes} bytes; ask for at least one, and for no more than \
         fit into memory"
    )]
    Capacity {
        /// The capacity that was asked for.
        capacity: usize,
        /// The size of a message in bytes.
        bytes: usize,
    },
    /// This rank makes another object than rank 0, or makes it at another place of the program.
    #[error(
        "rank {rank} makes the {here}, and rank 0 the {rank_0}; all ranks have to make the same objects in the same order, each at \
         one place of the source: move what is made in several branches into one function, or say `anywhere()` in each"
    )]
    Diverged {
        /// This rank.
        rank: i32,
        /// What rank 0 makes, and where: kind, name, file, line and column.
        rank_0: String,
        /// What this rank makes, and where it does.
        here: String,
    },
    /// This rank needs another length of memory than the lowest rank of its node.
    #[error(
        "rank {rank} needs {here} bytes of memory, and the lowest rank of its node made {leader}; run the same program, built with \
         the same mpisync, on all ranks"
    )]
    LengthsDiffer {
        /// This rank.
        rank: i32,
        /// How many bytes the lowest rank of the node made.
        leader: usize,
        /// How many this rank needs.
        here: usize,
    },
    /// This rank passed something else than rank 0. Long arguments are shown from a little before
    /// the first difference.
    #[error(
        "rank {rank} passed {argument} {here:?} and rank 0 passed {rank_0:?}; pass the same on all ranks"
    )]
    ArgumentsDiffer {
        /// Which argument.
        argument: &'static str,
        /// This rank.
        rank: i32,
        /// What rank 0 passed.
        rank_0: String,
        /// What this rank passed.
        here: String,
    },
    /// The name is too long.
    #[error("a name has at most {longest} bytes")]
    NameTooLong {
        /// The longest name in bytes.
        longest: usize,
    },
    /// Another rank has an error.
    #[error("rank {rank} could not take part: {found}")]
    OtherRank {
        /// The lowest rank that has one.
        rank: i32,
        /// Its error, as text.
        found: String,
    },
    /// The communicator spans nodes, and MPI may not be called from several threads.
    #[error(
        "the communicator spans several nodes, where mpisync answers other nodes from a thread of its own, and MPI was \
         initialized with the thread level {provided} here or on another rank; call \
         `mpisync::initialize()`, or `mpi::initialize_with_threading(mpi::Threading::Multiple)`, or do without that \
         thread (`Builder::progress_thread`)"
    )]
    Threads {
        /// The thread level that MPI has on this rank.
        provided: String,
    },
    /// MPI cannot make windows over these nodes.
    #[error(
        "MPI cannot make a window over the nodes of the communicator: {message}; leave the transport to mpisync, or ask \
         for `Transport::Messages` (`MPISYNC_TRANSPORT=messages`)"
    )]
    NoWindows {
        /// MPI's own words.
        message: String,
    },
    /// The ranks of the communicator reach each other in another way already.
    #[error(
        "{what} {asked} was asked for, and the communicator's first controller or channel was made with {has}; ask for the same, or \
         make a duplicate of the communicator"
    )]
    CarrierDiffers {
        /// Which option of the builder.
        what: &'static str,
        /// What was asked for.
        asked: String,
        /// What the communicator has.
        has: String,
    },
    /// An environment variable has a value without a meaning.
    #[error("the environment variable {variable} is {value:?}, and can be {}", .values.join(", "))]
    Environment {
        /// Which variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// The values that it can have.
        values: Vec<&'static str>,
    },
    /// There are more ranks than the lock's words can tell apart.
    #[error("the communicator has {size} ranks on one node, and at most {most} can share a lock")]
    TooManyRanks {
        /// The size of the communicator.
        size: i32,
        /// The largest size.
        most: i32,
    },
    /// No shared memory could be had.
    #[error("rank {rank} could not get shared memory (is /dev/shm full, or not shared?): {source}")]
    Memory {
        /// Which rank.
        rank: i32,
        /// The operating system's error.
        source: Arc<std::io::Error>,
    },
    /// There is not as much memory as was asked for. Nothing of it has been taken on this node.
    #[error(
        "the node of rank {rank} has {available} bytes left in {limit}, and {asked} were asked for; ask for less, or run on \
         more memory"
    )]
    NoRoom {
        /// A rank of the node.
        rank: i32,
        /// How many bytes were asked for.
        asked: u64,
        /// How many there are.
        available: u64,
        /// What limits them.
        limit: MemoryLimit,
    },
    /// An array cannot have this shape.
    #[error(
        "a region cannot have the shape {shape:?} with items of {bytes} bytes; all of it has to fit into the address space"
    )]
    Shape {
        /// The shape that was asked for.
        shape: Vec<usize>,
        /// The size of an item in bytes.
        bytes: usize,
    },
    /// The shape has another number of dimensions than the region's type.
    #[error("a region of {expected} dimensions cannot have the shape {shape:?}")]
    Dimensions {
        /// How many dimensions the type has.
        expected: usize,
        /// The shape that was asked for.
        shape: Vec<usize>,
    },
    /// A semaphore cannot have that many permits.
    #[error(
        "a semaphore cannot have {permits} permits; it has {least} to {most}, and at least one where it has a bound"
    )]
    Permits {
        /// How many were asked for.
        permits: u32,
        /// The fewest.
        least: u32,
        /// The most.
        most: u32,
    },
    /// A counter cannot have the step 0.
    #[error("a counter cannot count in steps of 0; give it another step, or read it by `get`")]
    ZeroStep,
    /// The ranks cannot be put into workers of these sizes.
    #[error(
        "{size} ranks cannot be put into workers of {sizes:?} ranks; with one size it has to divide the number of ranks, and with \
         more they have to add up to it"
    )]
    WorkerSizes {
        /// The sizes that were asked for; one where all are to be equal.
        sizes: Vec<i32>,
        /// The size of the communicator.
        size: i32,
    },
    /// Nobody said which tasks there are.
    #[error(
        "a batch needs tasks; say how many (`tasks`), what they are called (`names`), or what their states are"
    )]
    NoTasks,
    /// A batch cannot have that many tasks.
    #[error("a batch cannot have {tasks} tasks; it has {most} at most, so run several as one task")]
    TooManyTasks {
        /// How many were asked for.
        tasks: usize,
        /// The most.
        most: usize,
    },
    /// The root has passed no array.
    #[error("rank {root}, the root, passed no array; pass `Some(array)` there")]
    NoArray {
        /// The root.
        root: i32,
    },
    /// The new region could not be filled with the root's array.
    #[error("the region could not be filled: {0}")]
    Fill(CollectiveError),
    /// MPI itself failed.
    #[error("{function} failed: {message}")]
    Mpi {
        /// The MPI function.
        function: &'static str,
        /// MPI's own words.
        message: String,
    },
}

impl CreateError {
    /// The error for an argument that has to be a rank and is none.
    pub(crate) fn check_rank(argument: &'static str, rank: i32, size: i32) -> Option<Self> {
        let is_rank = (0..size).contains(&rank);
        (!is_rank).then_some(CreateError::RankOutOfRange {
            argument,
            rank,
            size,
        })
    }
}

/// What limits the memory that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MemoryLimit {
    /// The size of `/dev/shm`.
    SharedMemory,
    /// The control group that the process runs in: that of a container, or of the batch system.
    ControlGroup,
    /// The machine's memory.
    Machine,
    /// The size that the process may give a file (`ulimit -f`), which holds for shared memory too.
    FileSize,
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemoryLimit::SharedMemory => "/dev/shm",
            MemoryLimit::ControlGroup => "the memory control group of the job",
            MemoryLimit::Machine => "the machine's memory",
            MemoryLimit::FileSize => {
                "the largest file that the process may write (`ulimit -f`, RLIMIT_FSIZE)"
            }
        })
    }
}

/// Why a lock was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The time was up.
    #[error("the lock was not granted within {waited:?}")]
    Timeout {
        /// How long this rank was ready to wait.
        waited: Duration,
    },
    /// A rank died as a writer. What it was changing may be half changed, and the lock stays with
    /// it: repair what is guarded, and make a new controller on a communicator of the ranks that
    /// are left.
    #[error(
        "rank {rank} died while it held the lock for writing; what the lock guards may be half changed, and the \
         lock cannot be had any more"
    )]
    HolderDied {
        /// The rank, in the controller's communicator.
        rank: i32,
    },
    /// MPI was finalized.
    #[error(
        "MPI is finalized, and the other ranks may be gone; use controllers while the universe is alive"
    )]
    Finalized,
    /// No other rank exists that could end the wait.
    #[error(
        "the communicator has one rank, so nobody can notify it, and it would wait forever; wait with a time limit, or \
         only where there are other ranks"
    )]
    Alone,
}

/// Why a fenced call has no value on this rank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// The writer returned an error.
    #[error("rank {rank}, the writer at {place}, failed: {message}")]
    WriterFailed {
        /// The writer.
        rank: i32,
        /// Where it made the call.
        place: Place,
        /// Its error, as text.
        message: String,
    },
    /// The writer panicked.
    #[error("rank {rank}, the writer at {place}, panicked: {message}")]
    WriterPanicked {
        /// The writer.
        rank: i32,
        /// Where it made the call.
        place: Place,
        /// The panic's message; a hint where it is not known.
        message: String,
    },
    /// The writer dropped its fence without sharing.
    #[error(
        "rank {rank}, the writer at {place}, dropped its fence without sharing a value; it left early (an error \
         that was passed on with `?`), or `share` is missing"
    )]
    Unshared {
        /// The writer.
        rank: i32,
        /// Where it made the call.
        place: Place,
    },
    /// The writer shared a value of another type.
    #[error(
        "rank {writer} shared a value of type `{shared}`, and this rank collects `{collected}`; share and collect \
         the same type"
    )]
    TypeMismatch {
        /// The writer.
        writer: i32,
        /// What it shared.
        shared: String,
        /// What this rank wants.
        collected: String,
    },
    /// The writer shared another number of items.
    #[error("rank {writer} shared {shared} items, and this rank has room for {room}")]
    LengthMismatch {
        /// The writer.
        writer: i32,
        /// How many items it shared.
        shared: usize,
        /// How many this rank has room for.
        room: usize,
    },
    /// The ranks do not agree on who writes.
    #[error(
        "this rank takes rank {here} for the writer, and rank {rank} takes rank {there}; name the same on all"
    )]
    WriterMismatch {
        /// Who writes, for this rank.
        here: i32,
        /// The rank that disagrees.
        rank: i32,
        /// Who writes, for that rank.
        there: i32,
    },
    /// The ranks are in different collective calls, or have been in different calls of
    /// `single_write`.
    #[error(
        "this rank is in the collective call at {here}, and rank {rank} in the one at {there}; all ranks have to \
         make the same collective calls in the same order (and name a `single_write` that they make at different places, \
         see `On::named`)"
    )]
    Diverged {
        /// Where this rank is.
        here: Place,
        /// The other rank.
        rank: i32,
        /// Where it is.
        there: Place,
    },
    /// A rank left out a call in which one rank writes, or made one more. Counted since the last
    /// collective call that failed.
    #[error(
        "this rank has come to {here} calls of `single_write` on this controller, and rank {rank} to {there}; a value \
         that was collected since may belong to another call; all ranks have to make the same calls"
    )]
    OutOfStep {
        /// How many calls this rank has made.
        here: u64,
        /// The other rank.
        rank: i32,
        /// How many it has made.
        there: u64,
    },
    /// A rank's body of a `#[collective]` call returned an error.
    #[error("rank {rank} failed in the collective call at {place}: {message}")]
    Failed {
        /// The lowest rank that failed.
        rank: i32,
        /// Where it made the call.
        place: Place,
        /// Its error, as text.
        message: String,
    },
    /// A rank's body of a `#[collective]` call panicked.
    #[error("rank {rank} panicked in the collective call at {place}: {message}")]
    Panicked {
        /// The lowest rank that failed.
        rank: i32,
        /// Where it made the call.
        place: Place,
        /// The panic's message.
        message: String,
    },
    /// A rank that this one waited for has died.
    #[error("rank {rank} died while this rank waited for it")]
    RankDied {
        /// The rank.
        rank: i32,
    },
    /// There is no such rank.
    #[error("rank {rank} is not in the communicator, whose ranks are 0 to {}", .size - 1)]
    NoSuchRank {
        /// The rank that was named.
        rank: i32,
        /// The size of the communicator.
        size: i32,
    },
    /// The time was up.
    #[error("nothing was shared within {waited:?}")]
    Timeout {
        /// How long this rank was ready to wait.
        waited: Duration,
    },
    /// The value could not be serialized.
    #[error("the value cannot be serialized: {0}")]
    Encode(String),
    /// The bytes that came could not be read as the type that was asked for.
    #[error("the shared value cannot be read: {0}")]
    Decode(String),
    /// The writer could not get the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// For fenced functions that return an [`io::Result`]: the error is kept as the source, and a time
/// that was up is [`io::ErrorKind::TimedOut`].
impl From<CollectiveError> for io::Error {
    fn from(error: CollectiveError) -> Self {
        let kind = match error {
            CollectiveError::Timeout { .. } | CollectiveError::Lock(LockError::Timeout { .. }) => {
                io::ErrorKind::TimedOut
            }
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
