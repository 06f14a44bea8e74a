//! Why a call of another language has failed: a kind, which becomes a status code or an exception, a
//! message, and what the message is made of.

use mpisync::batch::BatchError;
use mpisync::sync::{BarrierError, CounterError, LatchError, OnceError, SemaphoreError, TurnError};
use mpisync::{ChannelError, CollectiveError, CreateError, LockError};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What kind of failure it is. `Busy`, `Timeout` and `End` are answers rather than errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A call that must not wait cannot do it now.
    Busy,
    /// It was not possible within the time limit.
    Timeout,
    /// There are no more messages, or no task is open now.
    End,
    /// The wait was interrupted.
    Interrupted,
    /// An argument is wrong.
    Argument,
    /// The handle names no object of this thread.
    Handle,
    /// This rank holds a lock of the object, a call or a task, which has to be ended first.
    Held,
    /// This rank holds nothing that could be released.
    NotHeld,
    /// A buffer is too small, or sizes differ between ranks.
    Size,
    /// MPI is not initialized, or it is finalized.
    Finalized,
    /// There is not enough memory, or too many objects.
    Memory,
    /// The object cannot be made here.
    Create,
    /// The ranks make different calls, or pass different arguments.
    Diverged,
    /// A rank died, for which this one would wait.
    RankDied,
    /// A rank ended or left the call, for which this one would wait.
    RankEnded,
    /// A rank died while it held the lock.
    Poisoned,
    /// A host does not answer.
    HostSilent,
    /// Ranks wait for each other, or no other rank is left that could end the wait.
    Deadlock,
    /// The rank that writes for all has failed.
    WriterFailed,
    /// No rank takes messages from the channel any more.
    Closed,
    /// The numbers or permits of the object do not suffice.
    UsedUp,
    /// A batch's state directory cannot be used, or a task was taken away.
    Task,
    /// A fault of the library.
    Internal,
}

/// Why a call has failed.
#[derive(Debug)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: Kind,
    /// What went wrong, and what to do.
    pub message: String,
    /// The rank that caused it, such as the one that died.
    pub rank: Option<i32>,
    /// The reason that this rank has given, as text.
    pub reason: Option<String>,
    /// The ranks that did not come.
    pub missing: Vec<i32>,
}

impl Failure {
    /// A failure that no other rank has caused.
    pub fn new(kind: Kind, message: String) -> Self {
        Failure {
            kind,
            message,
            rank: None,
            reason: None,
            missing: Vec::new(),
        }
    }

    /// An argument that cannot be used.
    #[cold]
    pub fn argument(message: String) -> Self {
        Failure::new(Kind::Argument, message)
    }

    fn of(kind: Kind, error: &impl std::error::Error, rank: Option<i32>) -> Self {
        Failure {
            rank,
            ..Failure::new(kind, error.to_string())
        }
    }

    fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a message");
        Self::new(Kind::Internal, text.to_owned())
    }

    /// For a call that must not wait: a timeout is the answer that it is not possible now.
    pub fn busy_at_once(mut self) -> Self {
        if self.kind == Kind::Timeout {
            self.kind = Kind::Busy;
        }
        self
    }
}

/// Runs the body of a call. A panic is a failure.
///
/// # Errors
/// That of the body, or [`Kind::Internal`].
pub fn catch<R>(body: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    // What a panic leaves behind half done is an object of the library, which recovers from that.
    let outcome = catch_unwind(AssertUnwindSafe(body));
    outcome.unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)))
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let (kind, rank) = match &error {
            LockError::Timeout { .. } => (Kind::Timeout, None),
            LockError::HolderDied { rank } => (Kind::Poisoned, Some(*rank)),
            LockError::HolderEnded { rank } => (Kind::RankEnded, Some(*rank)),
            LockError::LeaderDied { rank } => (Kind::RankDied, Some(*rank)),
            LockError::HostSilent { ranks } => (Kind::HostSilent, Some(ranks.leader())),
            LockError::Deadlock { .. } | LockError::Alone => (Kind::Deadlock, None),
            LockError::Interrupted => (Kind::Interrupted, None),
            LockError::Finalized => (Kind::Finalized, None),
            _ => (Kind::Internal, None),
        };
        Failure::of(kind, &error, rank)
    }
}

impl From<CollectiveError> for Failure {
    fn from(error: CollectiveError) -> Self {
        use CollectiveError as Error;
        let (kind, rank) = match &error {
            Error::WriterFailed { rank, .. }
            | Error::WriterPanicked { rank, .. }
            | Error::Unshared { rank, .. }
            | Error::Failed { rank, .. }
            | Error::Panicked { rank, .. } => (Kind::WriterFailed, Some(*rank)),
            Error::LengthMismatch { writer, .. } => (Kind::Size, Some(*writer)),
            Error::WriterMismatch { rank, .. }
            | Error::Diverged { rank, .. }
            | Error::OutOfStep { rank, .. } => (Kind::Diverged, Some(*rank)),
            Error::TypeMismatch { writer, .. } => (Kind::Diverged, Some(*writer)),
            Error::RankDied { rank } => (Kind::RankDied, Some(*rank)),
            Error::RankEnded { rank, .. } | Error::RankLeft { rank } => {
                (Kind::RankEnded, Some(*rank))
            }
            Error::NoSuchRank { .. } => (Kind::Argument, None),
            Error::Timeout { .. } => (Kind::Timeout, None),
            Error::Lock(lock) => return lock.clone().into(),
            _ => (Kind::Internal, None),
        };
        let failure = Failure::of(kind, &error, rank);
        let reason = match error {
            Error::WriterFailed { message, .. }
            | Error::WriterPanicked { message, .. }
            | Error::Failed { message, .. }
            | Error::Panicked { message, .. } => Some(message),
            _ => None,
        };
        Failure { reason, ..failure }
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        use CreateError as Error;
        let (kind, rank) = match &error {
            Error::NotInitialized | Error::Finalized => (Kind::Finalized, None),
            Error::InterCommunicator
            | Error::RankOutOfRange { .. }
            | Error::Capacity { .. }
            | Error::TaskLimit { .. }
            | Error::NameTooLong { .. }
            | Error::Shape { .. }
            | Error::Permits { .. }
            | Error::ZeroStep
            | Error::WorkerSizes { .. }
            | Error::NoTasks
            | Error::TooManyTasks { .. } => (Kind::Argument, None),
            Error::Diverged { rank, .. }
            | Error::ArgumentsDiffer { rank, .. }
            | Error::LengthsDiffer { rank, .. } => (Kind::Diverged, Some(*rank)),
            Error::RankDied { rank } => (Kind::RankDied, Some(*rank)),
            Error::RankEnded { rank, .. } => (Kind::RankEnded, Some(*rank)),
            Error::HostSilent { ranks } => (Kind::HostSilent, Some(ranks.leader())),
            Error::Timeout { .. } => (Kind::Timeout, None),
            Error::Interrupted => (Kind::Interrupted, None),
            Error::Memory { rank, .. } | Error::NoRoom { rank, .. } => (Kind::Memory, Some(*rank)),
            Error::OtherRank { rank, .. } => (Kind::Create, Some(*rank)),
            _ => (Kind::Create, None),
        };
        let failure = Failure::of(kind, &error, rank);
        let missing = match error {
            Error::Timeout { missing, .. } => missing,
            _ => Vec::new(),
        };
        Failure { missing, ..failure }
    }
}

impl From<SemaphoreError> for Failure {
    fn from(error: SemaphoreError) -> Self {
        let kind = match error {
            SemaphoreError::Lock(lock) => return lock.into(),
            SemaphoreError::HeldHere { .. } => Kind::Held,
            SemaphoreError::Alone { .. } => Kind::Deadlock,
            _ => Kind::UsedUp,
        };
        Failure::of(kind, &error, None)
    }
}

impl From<CounterError> for Failure {
    fn from(error: CounterError) -> Self {
        match error {
            CounterError::Lock(lock) => lock.into(),
            _ => Failure::of(Kind::UsedUp, &error, None),
        }
    }
}

impl From<BarrierError> for Failure {
    fn from(error: BarrierError) -> Self {
        let (kind, rank) = match &error {
            BarrierError::Missing { missing, .. } => (Kind::Timeout, missing.first().copied()),
            BarrierError::RankDied { rank } => (Kind::RankDied, Some(*rank)),
            BarrierError::RankEnded { rank, .. } | BarrierError::RankLeft { rank } => {
                (Kind::RankEnded, Some(*rank))
            }
            BarrierError::Lock(lock) => return lock.clone().into(),
            _ => (Kind::Internal, None),
        };
        let failure = Failure::of(kind, &error, rank);
        let missing = match error {
            BarrierError::Missing { missing, .. } => missing,
            _ => Vec::new(),
        };
        Failure { missing, ..failure }
    }
}

impl From<LatchError> for Failure {
    fn from(error: LatchError) -> Self {
        let (kind, rank) = match &error {
            LatchError::TooMany { .. } => (Kind::UsedUp, None),
            LatchError::Missing { .. } | LatchError::NoAnswer { .. } => (Kind::Timeout, None),
            LatchError::RankDied { rank } => (Kind::RankDied, Some(*rank)),
            LatchError::RankEnded { rank, .. } => (Kind::RankEnded, Some(*rank)),
            LatchError::Lock(lock) => return lock.clone().into(),
            _ => (Kind::Internal, None),
        };
        let failure = Failure::of(kind, &error, rank);
        let missing = match error {
            LatchError::Missing { missing, .. } => missing,
            _ => Vec::new(),
        };
        Failure { missing, ..failure }
    }
}

impl From<TurnError> for Failure {
    fn from(error: TurnError) -> Self {
        let (kind, rank) = match &error {
            TurnError::Timeout { .. } => (Kind::Timeout, None),
            TurnError::RankDied { rank } => (Kind::RankDied, Some(*rank)),
            TurnError::RankEnded { rank, .. } | TurnError::RankLeft { rank } => {
                (Kind::RankEnded, Some(*rank))
            }
            TurnError::Lock(lock) => return lock.clone().into(),
            _ => (Kind::Internal, None),
        };
        Failure::of(kind, &error, rank)
    }
}

impl From<ChannelError> for Failure {
    fn from(error: ChannelError) -> Self {
        let kind = match &error {
            ChannelError::Full | ChannelError::Empty => Kind::Busy,
            ChannelError::Timeout { .. } => Kind::Timeout,
            ChannelError::Deadlock { .. } | ChannelError::OnlyConsumer => Kind::Deadlock,
            ChannelError::Closed => Kind::Closed,
            ChannelError::Missing { .. } => Kind::RankEnded,
            ChannelError::Lost(lock) => return lock.clone().into(),
            ChannelError::TooLong { .. } => Kind::Size,
            ChannelError::Interrupted => Kind::Interrupted,
            ChannelError::Finalized => Kind::Finalized,
            _ => Kind::Internal,
        };
        Failure::of(kind, &error, None)
    }
}

impl From<OnceError> for Failure {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::Lock(lock) => lock.into(),
            OnceError::TooLarge { bytes, capacity } => {
                let message = format!(
                    "the value takes {bytes} bytes, and there is room for {capacity}; make it with a `capacity` of {bytes}"
                );
                Failure::new(Kind::Size, message)
            }
            _ => Failure::of(Kind::Internal, &error, None),
        }
    }
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        let (kind, rank) = match &error {
            BatchError::Create(create) => return create.clone().into(),
            BatchError::Lock(lock) => return lock.clone().into(),
            BatchError::RankDied { rank } => (Kind::RankDied, Some(*rank)),
            BatchError::RankEnded { rank } | BatchError::RankLeft { rank } => {
                (Kind::RankEnded, Some(*rank))
            }
            BatchError::Diverged(_) => (Kind::Diverged, None),
            BatchError::NoSuchTask { .. } | BatchError::ZeroTasks => {
                return Failure::argument(error.to_string());
            }
            BatchError::Timeout { .. } => (Kind::Timeout, None),
            BatchError::FileSystem { rank, .. } | BatchError::OtherRank { rank, .. } => {
                (Kind::Task, Some(*rank))
            }
            _ => (Kind::Task, None),
        };
        Failure::of(kind, &error, rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_its_kind_message_and_rank() {
        let failure = Failure::from(LockError::HolderDied { rank: 3 });
        assert_eq!((failure.kind, failure.rank), (Kind::Poisoned, Some(3)));
        assert!(failure.message.starts_with("rank 3 died"), "{failure:?}");
    }

    #[test]
    fn a_panic_is_a_failure() {
        let failure = catch::<()>(|| panic!("not today")).expect_err("it panics");
        assert_eq!(failure.kind, Kind::Internal);
        assert_eq!(failure.message, "not today");
    }

    #[test]
    fn a_timeout_is_busy_where_a_call_must_not_wait() {
        let of = |kind| Failure::new(kind, String::new()).busy_at_once().kind;
        assert_eq!(of(Kind::Timeout), Kind::Busy);
        assert_eq!(of(Kind::Closed), Kind::Closed);
    }
}
