//! What functions return: a status, and for those that are not `MPISYNC_OK` a message.

use crate::argument::invalid;
use mpisync::batch::BatchError;
use mpisync::sync::{BarrierError, CounterError, SemaphoreError};
use mpisync::{ChannelError, CollectiveError, CreateError, LockError};
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a function returns. MPISYNC_BUSY, MPISYNC_TIMEOUT and MPISYNC_END are answers rather than
/// errors: nothing was taken, put, locked or made. But after MPISYNC_TIMEOUT of a barrier this rank has
/// arrived.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mpisync_status {
    /// The call has done what it is for.
    MPISYNC_OK = 0,
    /// A function with "try" in its name cannot do it without waiting.
    MPISYNC_BUSY = 1,
    /// It was not possible within the time limit.
    MPISYNC_TIMEOUT = 2,
    /// There are no more messages, or no task is open now.
    MPISYNC_END = 3,
    /// An argument is wrong: a null pointer, a negative number, a communicator that cannot be used.
    MPISYNC_ERR_ARGUMENT = 10,
    /// The handle is null, was closed or freed, or belongs to another thread.
    MPISYNC_ERR_HANDLE = 11,
    /// This rank holds a lock of the object, a call or a task, which has to be ended first.
    MPISYNC_ERR_HELD = 12,
    /// This rank holds nothing that could be released.
    MPISYNC_ERR_NOT_HELD = 13,
    /// A buffer is too small, or sizes differ between ranks.
    MPISYNC_ERR_SIZE = 14,
    /// MPI is not initialized, or it is finalized.
    MPISYNC_ERR_FINALIZED = 15,
    /// There is not enough memory, or too many objects.
    MPISYNC_ERR_MEMORY = 16,
    /// The object cannot be made here, for a reason that the message tells.
    MPISYNC_ERR_CREATE = 17,
    /// The ranks make different calls, or pass different arguments.
    MPISYNC_ERR_DIVERGED = 18,
    /// A rank died, for which this one would wait.
    MPISYNC_ERR_RANK_DIED = 20,
    /// A rank ended or left the call, for which this one would wait.
    MPISYNC_ERR_RANK_ENDED = 21,
    /// A rank died while it held the lock for writing, or while it changed a semaphore. Clear it by the
    /// object's function that ends in _clear_poison, or take a controller over by
    /// mpisync_controller_take_over().
    MPISYNC_ERR_POISONED = 22,
    /// A host does not answer. Objects that span it are not usable any more.
    MPISYNC_ERR_HOST_SILENT = 23,
    /// No other rank is left that could end the wait. Or ranks wait for each other, which is an error
    /// only if the environment variable MPISYNC_DEADLOCK is "error", and only in calls without a time
    /// limit; otherwise a report is printed, and the wait goes on.
    MPISYNC_ERR_DEADLOCK = 24,
    /// The rank that writes for all has failed.
    MPISYNC_ERR_WRITER_FAILED = 25,
    /// No rank takes messages from the channel any more.
    MPISYNC_ERR_CLOSED = 26,
    /// The numbers or permits of the object do not suffice.
    MPISYNC_ERR_USED_UP = 27,
    /// A batch's state directory cannot be used, or a task was taken away from its worker, or the rank
    /// that acts for this one, the root or the first rank of its worker, has failed for such a reason.
    MPISYNC_ERR_TASK = 28,
    /// A fault of the library. Please report it with the message.
    MPISYNC_ERR_INTERNAL = 99,
}

use mpisync_status as Status;

/// Why a call has failed.
#[derive(Debug)]
pub struct Failure {
    status: Status,
    message: String,
    rank: c_int,
}

impl Failure {
    /// A failure that no other rank has caused.
    pub fn new(status: Status, message: String) -> Self {
        let rank = -1;
        Failure {
            status,
            message,
            rank,
        }
    }

    fn of(status: Status, error: &impl std::error::Error, rank: Option<i32>) -> Self {
        Failure {
            status,
            message: error.to_string(),
            rank: rank.unwrap_or(-1),
        }
    }

    fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a message");
        Self::new(Status::MPISYNC_ERR_INTERNAL, text.to_owned())
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// For a `try` function: a timeout is the answer that it is not possible now.
    pub fn busy_at_once(mut self) -> Self {
        if self.status == Status::MPISYNC_TIMEOUT {
            self.status = Status::MPISYNC_BUSY;
        }
        self
    }
}

/// The last failure of a thread.
struct Last {
    /// None before the first one.
    message: Option<CString>,
    rank: c_int,
}

thread_local! {
    static LAST: RefCell<Last> = const {
        let (message, rank) = (None, -1);
        RefCell::new(Last { message, rank })
    };
}

/// Runs the body of a function. Keeps the message if it fails; a panic is a failure.
pub fn call(body: impl FnOnce() -> Result<(), Failure>) -> Status {
    // What a panic leaves behind half done is an object of the library, which recovers from that.
    let outcome = catch_unwind(AssertUnwindSafe(body));
    match outcome.unwrap_or_else(|panic| Err(Failure::of_panic(&*panic))) {
        Ok(()) => Status::MPISYNC_OK,
        Err(failure) => keep(failure),
    }
}

#[cold]
fn keep(failure: Failure) -> Status {
    let Failure {
        status,
        message,
        rank,
    } = failure;
    let message = CString::new(message.replace('\0', " ")).ok();
    // At the end of a thread the variable may be gone.
    let _ = LAST.try_with(|last| *last.borrow_mut() = Last { message, rank });
    status
}

/// The message of the last call of this thread that did not return MPISYNC_OK: what went wrong, and
/// what to do. Local. The text stays valid until the next such call of this thread. It is empty if
/// there was none.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_last_error_message() -> *const c_char {
    let message = LAST.try_with(|last| last.borrow().message.as_ref().map(|text| text.as_ptr()));
    message.ok().flatten().unwrap_or(c"".as_ptr())
}

/// The rank that caused the failure which mpisync_last_error_message() tells of, such as the one that
/// died; -1 if there is none. It is a rank in the communicator of the object. Local.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_last_error_rank() -> c_int {
    LAST.try_with(|last| last.borrow().rank).unwrap_or(-1)
}

/// The name of a status, such as "MPISYNC_TIMEOUT"; "unknown status" for other numbers. Local.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_status_name(status: c_int) -> *const c_char {
    name(status).as_ptr()
}

fn name(status: c_int) -> &'static CStr {
    macro_rules! names {
        ($($name:ident)*) => {
            $(if status == Status::$name as c_int {
                return const {
                    match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a name has no zero byte"),
                    }
                };
            })*
        };
    }
    names! {
        MPISYNC_OK MPISYNC_BUSY MPISYNC_TIMEOUT MPISYNC_END
        MPISYNC_ERR_ARGUMENT MPISYNC_ERR_HANDLE MPISYNC_ERR_HELD MPISYNC_ERR_NOT_HELD MPISYNC_ERR_SIZE
        MPISYNC_ERR_FINALIZED MPISYNC_ERR_MEMORY MPISYNC_ERR_CREATE MPISYNC_ERR_DIVERGED
        MPISYNC_ERR_RANK_DIED MPISYNC_ERR_RANK_ENDED MPISYNC_ERR_POISONED MPISYNC_ERR_HOST_SILENT
        MPISYNC_ERR_DEADLOCK MPISYNC_ERR_WRITER_FAILED MPISYNC_ERR_CLOSED MPISYNC_ERR_USED_UP
        MPISYNC_ERR_TASK MPISYNC_ERR_INTERNAL
    }
    c"unknown status"
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let (status, rank) = match &error {
            LockError::Timeout { .. } => (Status::MPISYNC_TIMEOUT, None),
            LockError::HolderDied { rank } => (Status::MPISYNC_ERR_POISONED, Some(*rank)),
            LockError::HolderEnded { rank } => (Status::MPISYNC_ERR_RANK_ENDED, Some(*rank)),
            LockError::LeaderDied { rank } => (Status::MPISYNC_ERR_RANK_DIED, Some(*rank)),
            LockError::HostSilent { ranks } => {
                (Status::MPISYNC_ERR_HOST_SILENT, Some(ranks.leader()))
            }
            LockError::Deadlock { .. } | LockError::Alone => (Status::MPISYNC_ERR_DEADLOCK, None),
            LockError::Finalized => (Status::MPISYNC_ERR_FINALIZED, None),
            _ => (Status::MPISYNC_ERR_INTERNAL, None),
        };
        Failure::of(status, &error, rank)
    }
}

impl From<CollectiveError> for Failure {
    fn from(error: CollectiveError) -> Self {
        use CollectiveError as Error;
        let (status, rank) = match &error {
            Error::WriterFailed { rank, .. }
            | Error::WriterPanicked { rank, .. }
            | Error::Unshared { rank, .. }
            | Error::Failed { rank, .. }
            | Error::Panicked { rank, .. } => (Status::MPISYNC_ERR_WRITER_FAILED, Some(*rank)),
            Error::LengthMismatch { writer, .. } => (Status::MPISYNC_ERR_SIZE, Some(*writer)),
            Error::WriterMismatch { rank, .. }
            | Error::Diverged { rank, .. }
            | Error::OutOfStep { rank, .. } => (Status::MPISYNC_ERR_DIVERGED, Some(*rank)),
            Error::TypeMismatch { writer, .. } => (Status::MPISYNC_ERR_DIVERGED, Some(*writer)),
            Error::RankDied { rank } => (Status::MPISYNC_ERR_RANK_DIED, Some(*rank)),
            Error::RankEnded { rank, .. } | Error::RankLeft { rank } => {
                (Status::MPISYNC_ERR_RANK_ENDED, Some(*rank))
            }
            Error::NoSuchRank { .. } => (Status::MPISYNC_ERR_ARGUMENT, None),
            Error::Timeout { .. } => (Status::MPISYNC_TIMEOUT, None),
            Error::Lock(lock) => return lock.clone().into(),
            _ => (Status::MPISYNC_ERR_INTERNAL, None),
        };
        Failure::of(status, &error, rank)
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        use CreateError as Error;
        let (status, rank) = match &error {
            Error::NotInitialized | Error::Finalized => (Status::MPISYNC_ERR_FINALIZED, None),
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
            | Error::TooManyTasks { .. } => (Status::MPISYNC_ERR_ARGUMENT, None),
            Error::Diverged { rank, .. }
            | Error::ArgumentsDiffer { rank, .. }
            | Error::LengthsDiffer { rank, .. } => (Status::MPISYNC_ERR_DIVERGED, Some(*rank)),
            Error::RankDied { rank } => (Status::MPISYNC_ERR_RANK_DIED, Some(*rank)),
            Error::RankEnded { rank, .. } => (Status::MPISYNC_ERR_RANK_ENDED, Some(*rank)),
            Error::HostSilent { ranks } => (Status::MPISYNC_ERR_HOST_SILENT, Some(ranks.leader())),
            Error::Timeout { .. } => (Status::MPISYNC_TIMEOUT, None),
            Error::Memory { rank, .. } | Error::NoRoom { rank, .. } => {
                (Status::MPISYNC_ERR_MEMORY, Some(*rank))
            }
            Error::OtherRank { rank, .. } => (Status::MPISYNC_ERR_CREATE, Some(*rank)),
            _ => (Status::MPISYNC_ERR_CREATE, None),
        };
        Failure::of(status, &error, rank)
    }
}

impl From<SemaphoreError> for Failure {
    fn from(error: SemaphoreError) -> Self {
        let status = match error {
            SemaphoreError::Lock(lock) => return lock.into(),
            SemaphoreError::HeldHere { .. } => Status::MPISYNC_ERR_HELD,
            SemaphoreError::Alone { .. } => Status::MPISYNC_ERR_DEADLOCK,
            _ => Status::MPISYNC_ERR_USED_UP,
        };
        Failure::of(status, &error, None)
    }
}

impl From<CounterError> for Failure {
    fn from(error: CounterError) -> Self {
        match error {
            CounterError::Lock(lock) => lock.into(),
            _ => Failure::of(Status::MPISYNC_ERR_USED_UP, &error, None),
        }
    }
}

impl From<BarrierError> for Failure {
    fn from(error: BarrierError) -> Self {
        let (status, rank) = match &error {
            BarrierError::Missing { missing, .. } => {
                (Status::MPISYNC_TIMEOUT, missing.first().copied())
            }
            BarrierError::RankDied { rank } => (Status::MPISYNC_ERR_RANK_DIED, Some(*rank)),
            BarrierError::RankEnded { rank, .. } | BarrierError::RankLeft { rank } => {
                (Status::MPISYNC_ERR_RANK_ENDED, Some(*rank))
            }
            BarrierError::Lock(lock) => return lock.clone().into(),
            _ => (Status::MPISYNC_ERR_INTERNAL, None),
        };
        Failure::of(status, &error, rank)
    }
}

impl From<ChannelError> for Failure {
    fn from(error: ChannelError) -> Self {
        let status = match &error {
            ChannelError::Full | ChannelError::Empty => Status::MPISYNC_BUSY,
            ChannelError::Timeout { .. } => Status::MPISYNC_TIMEOUT,
            ChannelError::Deadlock { .. } | ChannelError::OnlyConsumer => {
                Status::MPISYNC_ERR_DEADLOCK
            }
            ChannelError::Closed => Status::MPISYNC_ERR_CLOSED,
            ChannelError::Missing { .. } => Status::MPISYNC_ERR_RANK_ENDED,
            ChannelError::Lost(lock) => return lock.clone().into(),
            ChannelError::Finalized => Status::MPISYNC_ERR_FINALIZED,
            _ => Status::MPISYNC_ERR_INTERNAL,
        };
        Failure::of(status, &error, None)
    }
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        let (status, rank) = match &error {
            BatchError::Create(create) => return create.clone().into(),
            BatchError::Lock(lock) => return lock.clone().into(),
            BatchError::RankDied { rank } => (Status::MPISYNC_ERR_RANK_DIED, Some(*rank)),
            BatchError::RankEnded { rank } | BatchError::RankLeft { rank } => {
                (Status::MPISYNC_ERR_RANK_ENDED, Some(*rank))
            }
            BatchError::Diverged(_) => (Status::MPISYNC_ERR_DIVERGED, None),
            BatchError::NoSuchTask { .. } => return invalid(error.to_string()),
            BatchError::Timeout { .. } => (Status::MPISYNC_TIMEOUT, None),
            BatchError::FileSystem { rank, .. } | BatchError::OtherRank { rank, .. } => {
                (Status::MPISYNC_ERR_TASK, Some(*rank))
            }
            _ => (Status::MPISYNC_ERR_TASK, None),
        };
        Failure::of(status, &error, rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_message() -> String {
        // SAFETY: the function returns a text that is valid until the next failure.
        let text = unsafe { CStr::from_ptr(mpisync_last_error_message()) };
        text.to_str().expect("it is UTF-8").to_owned()
    }

    #[test]
    fn a_failure_leaves_its_message_and_rank() {
        assert_eq!(
            (last_message().as_str(), mpisync_last_error_rank()),
            ("", -1)
        );
        let status = call(|| Err(LockError::HolderDied { rank: 3 }.into()));
        assert_eq!(status, Status::MPISYNC_ERR_POISONED);
        assert!(
            last_message().starts_with("rank 3 died"),
            "{}",
            last_message()
        );
        assert_eq!(mpisync_last_error_rank(), 3);
        assert_eq!(call(|| Ok(())), Status::MPISYNC_OK);
        assert_eq!(mpisync_last_error_rank(), 3, "a success keeps the message");
    }

    #[test]
    fn a_panic_is_a_status() {
        let status = call(|| panic!("not today"));
        assert_eq!(status, Status::MPISYNC_ERR_INTERNAL);
        assert_eq!(last_message(), "not today");
    }

    #[test]
    fn a_message_has_no_zero_byte() {
        call(|| Err(invalid("one\0two".to_owned())));
        assert_eq!(last_message(), "one two");
    }

    #[test]
    fn every_status_has_its_name() {
        assert_eq!(name(0), c"MPISYNC_OK");
        assert_eq!(name(Status::MPISYNC_ERR_TASK as c_int), c"MPISYNC_ERR_TASK");
        assert_eq!(name(99), c"MPISYNC_ERR_INTERNAL");
        assert_eq!(name(-7), c"unknown status");
    }
}
