//! Errors with their cause and the way to fix it.

mod call;
mod create;
mod host;
mod report;

pub use crate::error::call::ObjectCall;
pub(crate) use crate::error::call::call_text;
pub(crate) use crate::error::create::ONCE;
pub use crate::error::create::{CreateError, MemoryLimit};
pub use crate::error::host::HostRanks;
pub use crate::error::report::WaitReport;
use crate::location::{Place, SINGLE_WRITE};
use std::any::Any;
use std::io;
use std::time::Duration;

/// The text of a panic, if it has one.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Why a lock was not acquired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The time limit was reached.
    #[error("the lock was not granted within {waited:?}{report}")]
    Timeout {
        /// The time limit.
        waited: Duration,
        /// The object, its holder if known, and what that is doing.
        report: WaitReport,
    },
    /// A rank died while it held the lock for writing, and poisoned it: what it guards may be half
    /// changed. All ranks get this until one of them takes the lock over, by
    /// [`take_over`](crate::WindowController::take_over) to repair the data, or by
    /// [`clear_poison`](crate::WindowController::clear_poison). [`Guarded`](crate::Guarded),
    /// [`Region`](crate::Region) and [`Mutex`](crate::Mutex) have both, too.
    ///
    /// A [`Semaphore`](crate::Semaphore), a [`Condvar`](crate::Condvar) or an
    /// [`OnceShared`](crate::OnceShared) gives it if a rank has died in the middle of a change of the
    /// object's own words, and has `clear_poison`.
    #[error(
        "rank {rank} died while it held the lock for writing; what the lock guards may be half changed: repair it under \
         the guard that `take_over` returns, or call `clear_poison` to use it as it is"
    )]
    HolderDied {
        /// The rank in the object's communicator.
        rank: i32,
    },
    /// A rank ended while it held the lock: it dropped its universe, or finalized MPI, before the
    /// guard. The lock is not poisoned: it is free again if that rank drops the guard.
    #[error(
        "rank {rank} has ended and still holds the lock; drop guards before the universe, and leak none"
    )]
    HolderEnded {
        /// The rank in the object's communicator.
        rank: i32,
    },
    /// The leader of a host, its lowest rank, is gone: it died, or it ended after another rank had
    /// died. Only for communicators that span hosts: no other rank can act for the host, so their
    /// objects cannot be relied on any more.
    #[error(
        "rank {rank} died (or ended after the death of another rank), which was the leader of its host: the hosts cannot reach \
         each other without it; go on with a communicator that leaves it out"
    )]
    LeaderDied {
        /// The rank in the object's communicator.
        rank: i32,
    },
    /// A host does not answer any more. Only for communicators that span hosts. The other hosts do
    /// without it from now on, also if it comes back.
    #[error(
        "the host of {ranks} has not answered for longer than `MPISYNC_SILENCE` allows: it is down or cut off, or its \
         processes are stopped; go on with a communicator that leaves it out"
    )]
    HostSilent {
        /// The ranks of the host.
        ranks: HostRanks,
    },
    /// This wait is a part of a deadlock: ranks wait for each other, and none of their waits can end.
    /// Only with `MPISYNC_DEADLOCK=error` or [`on_deadlock`](crate::on_deadlock), and in calls without
    /// a time limit.
    #[error("deadlock: these ranks wait for each other, and none of these waits can end{report}")]
    Deadlock {
        /// The waits of all ranks of the deadlock, with their places.
        report: WaitReport,
    },
    /// The function that the program has set by [`interrupt_waits`](crate::interrupt_waits) has ended
    /// the wait. This rank has left the queue of the lock.
    #[error("the wait was interrupted, as the program has asked by `interrupt_waits`")]
    Interrupted,
    /// This thread has a guard of the object that it shares with other threads, and would wait for itself.
    #[error(
        "this thread would wait for itself, because it has a guard of this object already; drop that guard first, also one that a \
         caller of this function has"
    )]
    HeldByThread,
    /// MPI was finalized.
    #[error(
        "MPI is finalized, and the other ranks may be gone; use objects while the universe is alive"
    )]
    Finalized,
    /// There is no other rank that could end the wait: the communicator has one rank, or all other
    /// ranks have died, have ended, or wait for the same without a time limit.
    #[error(
        "no other rank can end this wait: the communicator has only this rank, or all others have died, have ended or wait \
         for the same; wait with a time limit, or only while another rank can notify this one"
    )]
    Alone,
}

/// Why a collective call has no value on this rank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// The writer returned an error.
    #[error("rank {rank}, the writer at {place}, failed: {message}")]
    WriterFailed {
        /// The writer.
        rank: i32,
        /// The place of its call.
        place: Place,
        /// Its error, as text.
        message: String,
    },
    /// The writer panicked.
    #[error("rank {rank}, the writer at {place}, panicked: {message}")]
    WriterPanicked {
        /// The writer.
        rank: i32,
        /// The place of its call.
        place: Place,
        /// The panic's message, or a hint if it is not known.
        message: String,
    },
    /// The writer dropped its fence without sharing a value.
    #[error(
        "rank {rank}, the writer at {place}, dropped its fence without sharing a value; it left early (an error \
         that was passed on with `?`), or `share` is missing"
    )]
    Unshared {
        /// The writer.
        rank: i32,
        /// The place of its call.
        place: Place,
    },
    /// The writer shared a value of another type.
    #[error(
        "rank {writer}, in {there_call}, shared a value of type `{shared}`, and this rank, in {here_call}, collects \
         `{collected}`; share and collect the same type"
    )]
    TypeMismatch {
        /// This rank's call.
        here_call: ObjectCall,
        /// The writer's call.
        there_call: ObjectCall,
        /// The writer.
        writer: i32,
        /// The type of its value.
        shared: String,
        /// The type that this rank expects.
        collected: String,
    },
    /// The writer shared another number of items.
    #[error(
        "rank {writer}, in {there_call}, shared {shared} items, and this rank, in {here_call}, has space for {room}"
    )]
    LengthMismatch {
        /// This rank's call.
        here_call: ObjectCall,
        /// The writer's call.
        there_call: ObjectCall,
        /// The writer.
        writer: i32,
        /// The number of items that it shared.
        shared: usize,
        /// The number of items that this rank has space for.
        room: usize,
    },
    /// The ranks name different writers.
    #[error(
        "this rank, in {here_call}, names rank {here} as the writer, and rank {rank}{} names rank {there}; name the \
         same writer on all ranks",
        in_call(.there_call.as_ref())
    )]
    WriterMismatch {
        /// The writer that this rank names.
        here: i32,
        /// This rank's call.
        here_call: ObjectCall,
        /// A rank that names another writer.
        rank: i32,
        /// The writer that it names.
        there: i32,
        /// Its call. None if that is not known: the rank has gone on, or it is on another node and is
        /// the writer.
        there_call: Option<ObjectCall>,
    },
    /// The ranks are in different collective calls, or were in different calls of `single_write`.
    #[error(
        "this rank is in {here_call}, and rank {rank} in {there_call}; all ranks have to make the same collective calls in \
         the same order{}",
        named_hint(here_call, there_call)
    )]
    Diverged {
        /// The place of this rank's call.
        here: Place,
        /// This rank's call.
        here_call: ObjectCall,
        /// The other rank.
        rank: i32,
        /// The place of its call.
        there: Place,
        /// Its call.
        there_call: ObjectCall,
    },
    /// The ranks made different numbers of calls in which one rank writes (`single_write`, or `set` and
    /// `update` of a region), counted since the last collective call that failed.
    #[error(
        "this rank, in {here_call}, has made {here} calls on it in which one rank writes, and rank {rank}, in {there_call}, \
         has made {there}; a value that was collected since then may belong to another call; all ranks have to make the \
         same calls"
    )]
    OutOfStep {
        /// The number of calls of this rank.
        here: u64,
        /// The call in which this rank has met the others.
        here_call: ObjectCall,
        /// The other rank.
        rank: i32,
        /// The number of its calls.
        there: u64,
        /// The call in which it has met the others.
        there_call: ObjectCall,
    },
    /// The body of a `#[collective]` call returned an error on a rank.
    #[error("rank {rank} failed in the collective call at {place}: {message}")]
    Failed {
        /// The rank that failed first: the lowest one that does not pass on another's failure.
        rank: i32,
        /// The place of its call.
        place: Place,
        /// Its error, as text.
        message: String,
    },
    /// The body of a `#[collective]` call panicked on a rank.
    #[error("rank {rank} panicked in the collective call at {place}: {message}")]
    Panicked {
        /// The rank that panicked first.
        rank: i32,
        /// The place of its call.
        place: Place,
        /// The panic's message.
        message: String,
    },
    /// A rank died while this rank waited for it.
    #[error("rank {rank} died while this rank waited for it")]
    RankDied {
        /// The rank.
        rank: i32,
    },
    /// A rank ended while this rank waited for it: its universe was dropped, or it finalizes MPI.
    #[error("rank {rank} {} while this rank waited for it", ended(*.panicked))]
    RankEnded {
        /// The rank.
        rank: i32,
        /// Whether its thread was panicking.
        panicked: bool,
    },
    /// A rank left the `#[collective]` call in which this rank waits for it. The call's own error
    /// tells why.
    #[error("rank {rank} has left the collective call in which this rank waits for it")]
    RankLeft {
        /// The rank.
        rank: i32,
    },
    /// The rank is not in the communicator.
    #[error("rank {rank} is not in the communicator, whose ranks are 0 to {}", .size - 1)]
    NoSuchRank {
        /// The rank that was named.
        rank: i32,
        /// The size of the communicator.
        size: i32,
    },
    /// The time limit was reached.
    #[error("nothing was shared within {waited:?}{report}")]
    Timeout {
        /// The time limit.
        waited: Duration,
        /// The object, the writer, and what that is doing.
        report: WaitReport,
    },
    /// The value could not be serialized.
    #[error("the value cannot be serialized: {0}")]
    Encode(String),
    /// The bytes could not be deserialized as the expected type.
    #[error("the shared value cannot be read: {0}")]
    Decode(String),
    /// The writer could not acquire the lock, or the call is a part of a deadlock.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl CollectiveError {
    /// [`Diverged`](Self::Diverged), for this rank in the call `here`.
    pub(crate) fn diverged(here: ObjectCall, rank: usize, there: ObjectCall) -> Self {
        CollectiveError::Diverged {
            here: here.place().clone(),
            here_call: here,
            rank: rank as i32,
            there: there.place().clone(),
            there_call: there,
        }
    }
}

/// The call of another rank in a message, if it is known.
fn in_call(call: Option<&ObjectCall>) -> String {
    call.map_or_else(String::new, |call| format!(", in {call},"))
}

/// A hint for ranks that make one call at different places.
fn named_hint(here: &ObjectCall, there: &ObjectCall) -> &'static str {
    let is_plain = |call: &ObjectCall| call.name() == SINGLE_WRITE;
    let is_same = here.kind() == there.kind() && here.object() == there.object();
    if is_same && is_plain(here) && is_plain(there) {
        " (and name a `single_write` that they make at different places, see `On::named`)"
    } else {
        ""
    }
}

/// How a rank has ended, for the text of an error.
pub(crate) fn ended(panicked: bool) -> &'static str {
    if panicked {
        "panicked and ended"
    } else {
        "ended (its universe was dropped)"
    }
}

/// For collective functions that return an [`io::Result`]: the error becomes the source, and a
/// timeout has the kind [`io::ErrorKind::TimedOut`].
impl From<CollectiveError> for io::Error {
    fn from(error: CollectiveError) -> Self {
        let kind = match error {
            CollectiveError::Timeout { .. } | CollectiveError::Lock(LockError::Timeout { .. }) => {
                io::ErrorKind::TimedOut
            }
            CollectiveError::Lock(LockError::Deadlock { .. }) => io::ErrorKind::Deadlock,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
