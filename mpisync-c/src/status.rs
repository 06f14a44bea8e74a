//! What functions return: a status, and for those that are not `MPISYNC_OK` a message.

use mpisync_bindings::failure::{Failure, Kind, catch};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};

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

impl From<Kind> for Status {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Busy => Status::MPISYNC_BUSY,
            Kind::Timeout => Status::MPISYNC_TIMEOUT,
            Kind::End => Status::MPISYNC_END,
            Kind::Argument => Status::MPISYNC_ERR_ARGUMENT,
            Kind::Handle => Status::MPISYNC_ERR_HANDLE,
            Kind::Held => Status::MPISYNC_ERR_HELD,
            Kind::NotHeld => Status::MPISYNC_ERR_NOT_HELD,
            Kind::Size => Status::MPISYNC_ERR_SIZE,
            Kind::Finalized => Status::MPISYNC_ERR_FINALIZED,
            Kind::Memory => Status::MPISYNC_ERR_MEMORY,
            Kind::Create => Status::MPISYNC_ERR_CREATE,
            Kind::Diverged => Status::MPISYNC_ERR_DIVERGED,
            Kind::RankDied => Status::MPISYNC_ERR_RANK_DIED,
            Kind::RankEnded => Status::MPISYNC_ERR_RANK_ENDED,
            Kind::Poisoned => Status::MPISYNC_ERR_POISONED,
            Kind::HostSilent => Status::MPISYNC_ERR_HOST_SILENT,
            Kind::Deadlock => Status::MPISYNC_ERR_DEADLOCK,
            Kind::WriterFailed => Status::MPISYNC_ERR_WRITER_FAILED,
            Kind::Closed => Status::MPISYNC_ERR_CLOSED,
            Kind::UsedUp => Status::MPISYNC_ERR_USED_UP,
            Kind::Task => Status::MPISYNC_ERR_TASK,
            // No C program can ask for an interruption.
            Kind::Interrupted | Kind::Internal => Status::MPISYNC_ERR_INTERNAL,
        }
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
    match catch(body) {
        Ok(()) => Status::MPISYNC_OK,
        Err(failure) => keep(failure),
    }
}

#[cold]
fn keep(failure: Failure) -> Status {
    let message = CString::new(failure.message.replace('\0', " ")).ok();
    let rank = failure.rank.unwrap_or(-1);
    // At the end of a thread the variable may be gone.
    let _ = LAST.try_with(|last| *last.borrow_mut() = Last { message, rank });
    failure.kind.into()
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

#[cfg(test)]
mod tests {
    use super::*;
    use mpisync::LockError;

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
        call(|| Err(Failure::argument("one\0two".to_owned())));
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
