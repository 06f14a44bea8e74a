//! Why an object could not be made.

use crate::error::{CollectiveError, HostRanks, ended};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The kind of an [`OnceShared`](crate::OnceShared).
pub(crate) const ONCE: &str = "once";

/// Why an object could not be made. All ranks of the communicator get an error together, except for
/// [`WrongThread`](Self::WrongThread), failures of MPI itself, and ranks that have not come.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// MPI was not initialized yet.
    #[error(
        "MPI is not initialized; call `mpisync::initialize()` first and keep the universe alive"
    )]
    NotInitialized,
    /// MPI was finalized already.
    #[error("MPI is finalized; make objects while the universe is alive")]
    Finalized,
    /// This thread must not call MPI. Local: telling the other ranks would take a call of MPI.
    #[error(
        "MPI was initialized with the thread level {provided}, at which only the thread that initialized MPI \
         may make objects; make them there, or call `mpisync::initialize()`, which requests `Threading::Multiple`"
    )]
    WrongThread {
        /// The thread level that MPI has.
        provided: String,
    },
    /// The communicator joins two groups of ranks.
    #[error(
        "the communicator is an inter-communicator, which joins two groups of ranks; make the \
         object on the communicator that `InterCommunicator::merge` returns"
    )]
    InterCommunicator,
    /// MPI's world has this process only, but its launcher has started several. Each of them would
    /// acquire every lock.
    #[error(
        "{launcher} has started several processes ({variable}={value}), and each is a world of its own for \
         {library}, which this program was built with; start it with the launcher of that MPI, or build it with the MPI of this launcher (`MPICC`), or set \
         MPISYNC_SINGLETON=on if each process is meant to be alone"
    )]
    OtherLauncher {
        /// The launcher that has set the variable.
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
        /// The name of the argument.
        argument: &'static str,
        /// Its value.
        rank: i32,
        /// The size of the communicator.
        size: i32,
    },
    /// A channel cannot hold this many messages, or an [`OnceShared`](crate::OnceShared) this many
    /// bytes.
    #[error("{}", no_space(object, *.capacity, *.bytes))]
    Capacity {
        /// The kind of object: `channel` or `once`.
        object: &'static str,
        /// The requested capacity.
        capacity: usize,
        /// The size of a message in bytes; 1 if the capacity is a number of bytes.
        bytes: usize,
    },
    /// This rank makes another object than rank 0, or makes it at another place of the program.
    #[error(
        "rank {rank} makes the {here}, and rank 0 the {rank_0}; all ranks have to make the same objects in the same order, each at \
         one place of the source: move code from several branches into one function, or call `anywhere()` in each"
    )]
    Diverged {
        /// This rank.
        rank: i32,
        /// The object that rank 0 makes: kind, name, file, line and column.
        rank_0: String,
        /// The object that this rank makes.
        here: String,
    },
    /// This rank needs a different amount of memory than the lowest rank of its node.
    #[error(
        "rank {rank} needs {here} bytes of memory for the {object}, and the lowest rank of its node allocated {leader}; run the same \
         program, built with the same mpisync, on all ranks"
    )]
    LengthsDiffer {
        /// This rank.
        rank: i32,
        /// The object that this rank makes: kind, name, file, line and column.
        object: Box<str>,
        /// The number of bytes that the lowest rank of the node allocated.
        leader: usize,
        /// The number of bytes that this rank needs.
        here: usize,
    },
    /// This rank passed a different argument than rank 0. A long argument is shown from shortly
    /// before the first difference.
    #[error(
        "rank {rank} passed {argument} {here:?} for the {here_object}, and rank 0 passed {rank_0:?}{}; pass the same on all \
         ranks",
        for_object(.rank_0_object.as_deref())
    )]
    ArgumentsDiffer {
        /// The object that this rank makes: kind, name, file, line and column.
        here_object: Box<str>,
        /// The object that rank 0 makes. None if that runs another version of mpisync.
        rank_0_object: Option<Box<str>>,
        /// The name of the argument.
        argument: &'static str,
        /// This rank.
        rank: i32,
        /// The argument of rank 0.
        rank_0: String,
        /// The argument of this rank.
        here: String,
    },
    /// A limit of a batch's tasks cannot be kept.
    #[error("`{argument}` of a batch is {value}, and has to be {allowed}")]
    TaskLimit {
        /// The name of the limit.
        argument: &'static str,
        /// Its value.
        value: String,
        /// The values that it may have.
        allowed: String,
    },
    /// A controller of threads cannot be made for this number of them.
    #[error("a controller of threads has 1 to {most} ranks, not {threads}")]
    NumberOfThreads {
        /// The number of threads.
        threads: usize,
        /// The largest one.
        most: usize,
    },
    /// The name is too long.
    #[error("a name has at most {longest} bytes")]
    NameTooLong {
        /// The longest name in bytes.
        longest: usize,
    },
    /// A rank has died, so no object can be made on its communicator any more. Make it on a
    /// communicator of the remaining ranks.
    #[error(
        "rank {rank} has died, and an object takes all ranks; make it on the communicator of the remaining ranks that `mpisync::survivors` returns"
    )]
    RankDied {
        /// The lowest rank that has died.
        rank: i32,
    },
    /// A host does not answer, so no object can be made on its communicator any more.
    #[error(
        "the host of {ranks} has not answered for longer than `MPISYNC_SILENCE` allows, and an object takes all ranks; make it \
         on a communicator of the remaining ranks"
    )]
    HostSilent {
        /// The ranks of the host.
        ranks: HostRanks,
    },
    /// A rank has ended, so no object can be made on its communicator any more: its universe was
    /// dropped, or it finalizes MPI.
    #[error("rank {rank} {}, and an object takes all ranks", ended(*.panicked))]
    RankEnded {
        /// The lowest rank that has ended.
        rank: i32,
        /// Whether its thread was panicking.
        panicked: bool,
    },
    /// Other ranks did not take part in time. No object can be made on the communicator any more.
    #[error(
        "not all ranks have come to make the object within {waited:.1?}{}; all ranks have to make the same objects \
         (`MPISYNC_CREATE_TIMEOUT` sets the time)",
        missing_ranks(.missing)
    )]
    Timeout {
        /// How long this rank has waited.
        waited: Duration,
        /// The ranks that have not come, as far as this rank knows: the ranks of its node, or at the
        /// first object of a communicator on rank 0 all ranks.
        missing: Vec<i32>,
    },
    /// The function that the program has set by [`interrupt_waits`](crate::interrupt_waits) has ended the
    /// wait for the other ranks. No object can be made on the communicator any more: further tries are
    /// [`InterruptedBefore`](Self::InterruptedBefore).
    #[error(
        "the wait for the other ranks was interrupted, as the program has asked by `interrupt_waits`; no object can be made on the \
         communicator any more"
    )]
    Interrupted,
    /// This rank was interrupted while it made an earlier object of the communicator, see
    /// [`Interrupted`](Self::Interrupted). The other ranks may still be in that call.
    #[error(
        "this rank was interrupted while it made an earlier object of the communicator, in which the other ranks may still be; make \
         objects on another communicator, or end the program"
    )]
    InterruptedBefore,
    /// No object was made on the communicator, so its ranks do not know of each other who lives.
    #[error(
        "no object was made on the communicator, so its ranks do not know who is left; make one before a rank can die"
    )]
    NoObject,
    /// Another rank has an error.
    #[error("rank {rank} could not take part: {found}")]
    OtherRank {
        /// The lowest rank with an error.
        rank: i32,
        /// Its error, as text.
        found: String,
    },
    /// The communicator spans nodes, and MPI must not be called from several threads.
    #[error(
        "the communicator spans several nodes, which takes a progress thread, and MPI was initialized with the \
         thread level {provided} here or on another rank; call \
         `mpisync::initialize()`, or `mpi::initialize_with_threading(mpi::Threading::Multiple)`, or switch the \
         progress thread off (`Builder::progress_thread`)"
    )]
    Threads {
        /// The thread level that MPI has on this rank.
        provided: String,
    },
    /// Threads are to share an object of several nodes, and MPI must not be called from several threads.
    /// Local: the other ranks do not know of it.
    #[error(
        "the communicator spans several nodes, to which the threads that share the object send messages, and MPI was initialized \
         with the thread level {provided}; call `mpisync::initialize()`, or \
         `mpi::initialize_with_threading(mpi::Threading::Multiple)`"
    )]
    SharedByThreads {
        /// The thread level that MPI has.
        provided: String,
    },
    /// MPI cannot make a window over these nodes.
    #[error(
        "MPI cannot make a window over the nodes of the communicator: {message}; use the default transport, or request \
         `Transport::Messages` (`MPISYNC_TRANSPORT=messages`)"
    )]
    NoWindows {
        /// MPI's error message.
        message: String,
    },
    /// The communicator already has another transport.
    #[error(
        "{what} {asked} was requested, and the first object of the communicator was made with {has}; request the same, or \
         make a duplicate of the communicator"
    )]
    CarrierDiffers {
        /// The option of the builder.
        what: &'static str,
        /// The requested value.
        asked: String,
        /// The value of the communicator.
        has: String,
    },
    /// An environment variable has an invalid value.
    #[error("the environment variable {variable} is {value:?}, and must be one of {}", .values.join(", "))]
    Environment {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// The valid values.
        values: Vec<&'static str>,
    },
    /// An environment variable begins with `MPISYNC_`, and the library reads none of this name.
    #[error(
        "there is no environment variable {variable}, did you mean {nearest}? The names that begin with MPISYNC_ are mpisync's own"
    )]
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The known variable with the most similar name.
        nearest: &'static str,
    },
    /// The environment variable `MPISYNC_TRACE` asks for a trace, and there is none.
    #[error("MPISYNC_TRACE asks for a trace, and there is none: {reason}")]
    NoTrace {
        /// Why not.
        reason: String,
    },
    /// A node has more ranks than a lock supports.
    #[error("the communicator has {size} ranks on one node, and at most {most} can share a lock")]
    TooManyRanks {
        /// The size of the communicator.
        size: i32,
        /// The most ranks of a node.
        most: i32,
    },
    /// Shared memory could not be allocated.
    #[error(
        "rank {rank} could not allocate shared memory (is /dev/shm full, or not shared? Docker and Podman give a container more \
         with --shm-size): {error}"
    )]
    Memory {
        /// The rank.
        rank: i32,
        /// The operating system's error.
        error: Arc<std::io::Error>,
    },
    /// There is not enough memory. None has been allocated on this node.
    #[error(
        "the node of rank {rank} has {available} bytes left in {limit}, and {asked} were requested; request less, or \
         {}", limit.cure()
    )]
    NoRoom {
        /// A rank of the node.
        rank: i32,
        /// The number of bytes requested.
        asked: u64,
        /// The number of bytes available.
        available: u64,
        /// The limit.
        limit: MemoryLimit,
    },
    /// An array cannot have this shape.
    #[error(
        "a region cannot have the shape {shape:?} with items of {bytes} bytes; all of it has to fit into the address space"
    )]
    Shape {
        /// The requested shape.
        shape: Vec<usize>,
        /// The size of an item in bytes.
        bytes: usize,
    },
    /// The shape has a different number of dimensions than the region's type.
    #[error("a region of {expected} dimensions cannot have the shape {shape:?}")]
    Dimensions {
        /// The number of dimensions of the type.
        expected: usize,
        /// The requested shape.
        shape: Vec<usize>,
    },
    /// A semaphore cannot have this many permits.
    #[error(
        "a semaphore cannot have {permits} permits; it has {least} to {most}, and at least one where it has a bound"
    )]
    Permits {
        /// The requested number.
        permits: u32,
        /// The smallest number.
        least: u32,
        /// The largest number.
        most: u32,
    },
    /// A counter cannot have step 0.
    #[error("a counter cannot count in steps of 0; give it another step, or read it by `get`")]
    ZeroStep,
    /// The ranks cannot be divided into workers of these sizes.
    #[error(
        "{size} ranks cannot be divided into workers of {sizes:?} ranks; one size has to divide the number of ranks, and \
         several sizes have to add up to it"
    )]
    WorkerSizes {
        /// The requested sizes; a single one if all are to be equal.
        sizes: Vec<i32>,
        /// The size of the communicator.
        size: i32,
    },
    /// The batch has no tasks.
    #[error(
        "a batch needs tasks; pass their number (`tasks`), their names (`names`), or their states"
    )]
    NoTasks,
    /// A batch cannot have this many tasks.
    #[error("a batch cannot have {tasks} tasks; it has {most} at most, so run several as one task")]
    TooManyTasks {
        /// The requested number.
        tasks: usize,
        /// The largest number.
        most: usize,
    },
    /// The root passed no array.
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
        /// MPI's error message.
        message: String,
    },
}

/// The part of a message that names the ranks that have not come, if they are known.
fn missing_ranks(missing: &[i32]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    format!("; ranks {missing:?} are missing")
}

/// The object of another rank in a message, if it is known.
fn for_object(object: Option<&str>) -> String {
    object.map_or_else(String::new, |object| format!(" for the {object}"))
}

/// The message about a capacity that an object of this kind cannot have.
fn no_space(object: &str, capacity: usize, bytes: usize) -> String {
    let what = match bytes {
        1 if object == ONCE => String::new(),
        _ => format!(" messages of {bytes}"),
    };
    format!(
        "a {object} cannot have space for {capacity}{what} bytes; request at least one, and no more than fit into memory"
    )
}

impl CreateError {
    /// The error for an argument that is not a rank of the communicator, if it is not.
    pub(crate) fn check_rank(argument: &'static str, rank: i32, size: i32) -> Option<Self> {
        let is_rank = (0..size).contains(&rank);
        (!is_rank).then_some(CreateError::RankOutOfRange {
            argument,
            rank,
            size,
        })
    }
}

/// A limit of the available memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MemoryLimit {
    /// The size of `/dev/shm`.
    SharedMemory,
    /// The memory control group of the process, for example of a container or a batch job.
    ControlGroup,
    /// The machine's memory.
    Machine,
    /// The largest file that the process may write (`ulimit -f`), which applies to shared memory,
    /// too.
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

impl MemoryLimit {
    /// What raises the limit.
    const fn cure(self) -> &'static str {
        match self {
            MemoryLimit::SharedMemory => {
                "mount a larger /dev/shm (Docker and Podman give a container 64 MB of it, and more with --shm-size)"
            }
            MemoryLimit::ControlGroup => "ask the batch system or the container for more memory",
            MemoryLimit::Machine => "run with more memory",
            MemoryLimit::FileSize => "raise it",
        }
    }
}
