//! Signals that a process counts while it has a [`SignalWatch`] for them.
//!
//! The handler only counts, and calls the handler function that was there before. That handler
//! comes back when the last watch for the signal is dropped.

use crate::shm::lock;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use libc::{c_int, c_void, sighandler_t, siginfo_t};
use std::sync::Mutex;
use std::{io, mem, ptr};

/// One more than the highest number of a signal.
const END: usize = 65;

/// How often each signal came.
static RECEIVED: [AtomicU32; END] = [const { AtomicU32::new(0) }; END];

/// The handler of each signal before the first watch, and its flags.
static EARLIER: [Earlier; END] = [const { Earlier::new() }; END];

/// What is to be restored, by signal.
static WATCHED: Mutex<[Option<Watched>; END]> = Mutex::new([const { None }; END]);

struct Earlier {
    handler: AtomicUsize,
    flags: AtomicI32,
}

impl Earlier {
    const fn new() -> Self {
        Earlier {
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
        }
    }
}

/// A signal with watches.
struct Watched {
    watches: u32,
    before: libc::sigaction,
}

/// Counts a signal as long as it exists.
#[derive(Debug)]
pub(crate) struct SignalWatch {
    number: c_int,
    /// How often it had come before.
    seen: u32,
}

impl SignalWatch {
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a signal that is an error of the process itself, such as
    /// `SIGSEGV`, or that cannot be handled.
    pub(crate) fn new(number: c_int) -> io::Result<Self> {
        const ERRORS: [c_int; 5] = [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
        ];
        let index = usize::try_from(number).ok().filter(|&index| index < END);
        let (Some(index), false) = (index, ERRORS.contains(&number)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut watched = lock(&WATCHED);
        match &mut watched[index] {
            Some(watched) => watched.watches += 1,
            none => {
                let before = install(number, index)?;
                *none = Some(Watched { watches: 1, before });
            }
        }
        let seen = RECEIVED[index].load(Ordering::Relaxed);
        Ok(SignalWatch { number, seen })
    }

    /// The number of the signal.
    pub(crate) fn number(&self) -> c_int {
        self.number
    }

    /// Whether the signal has come since the watch was made.
    pub(crate) fn has_come(&self) -> bool {
        RECEIVED[self.number as usize].load(Ordering::Relaxed) != self.seen
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        let mut all = lock(&WATCHED);
        let slot = &mut all[self.number as usize];
        if let Some(watched) = slot {
            watched.watches -= 1;
            if watched.watches == 0 {
                restore(self.number, &watched.before);
                *slot = None;
            }
        }
    }
}

/// Installs the handler. Returns what was there.
fn install(number: c_int, index: usize) -> io::Result<libc::sigaction> {
    let before = current(number)?;
    // Before the handler may run.
    let earlier = &EARLIER[index];
    earlier.flags.store(before.sa_flags, Ordering::Relaxed);
    earlier
        .handler
        .store(before.sa_sigaction, Ordering::Relaxed);
    // SAFETY: the handler takes three arguments. It changes an atomic, and calls a function that was
    // a handler of this signal before: both are safe in a signal handler.
    unsafe { set_handler(number, handler(), libc::SA_SIGINFO)? };
    Ok(before)
}

/// Sets the handler of a signal, which restarts interrupted calls of the system.
///
/// # Errors
/// Those of `sigaction`.
///
/// # Safety
/// `handler` is a function with the arguments that `flags` say, and does only what is safe in a
/// signal handler.
pub(super) unsafe fn set_handler(
    number: c_int,
    handler: sighandler_t,
    flags: c_int,
) -> io::Result<()> {
    // SAFETY: all bytes zero are a value of this structure of integers and pointers.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART | flags;
    // SAFETY: the action is initialized, and the caller answers for its handler.
    match unsafe { libc::sigaction(number, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Restores the action of a signal, unless another one has replaced the handler.
fn restore(number: c_int, before: &libc::sigaction) {
    let is_ours = current(number).is_ok_and(|action| action.sa_sigaction == handler());
    if is_ours {
        // SAFETY: it was the action of this signal before.
        unsafe { libc::sigaction(number, before, ptr::null_mut()) };
    }
}

fn current(number: c_int) -> io::Result<libc::sigaction> {
    // SAFETY: all bytes zero are a value of this structure of integers and pointers.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: there is room for the action, and nothing is changed.
    match unsafe { libc::sigaction(number, ptr::null(), &raw mut action) } {
        0 => Ok(action),
        _ => Err(io::Error::last_os_error()),
    }
}

fn handler() -> sighandler_t {
    count as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as sighandler_t
}

extern "C" fn count(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let index = number as usize;
    RECEIVED[index].fetch_add(1, Ordering::Relaxed);
    let earlier = &EARLIER[index];
    let flags = earlier.flags.load(Ordering::Relaxed);
    match earlier.handler.load(Ordering::Relaxed) {
        libc::SIG_DFL | libc::SIG_IGN => {}
        handler if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: the address of a handler of this signal with these arguments, as its flags
            // say. Functions stay where they are.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                unsafe { mem::transmute(handler) };
            handler(number, info, context);
        }
        handler => {
            // SAFETY: the same, with one argument.
            let handler: extern "C" fn(c_int) = unsafe { mem::transmute(handler) };
            handler(number);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    static EARLIER_CALLS: AtomicU32 = AtomicU32::new(0);

    extern "C" fn earlier_handler(_: c_int) {
        EARLIER_CALLS.fetch_add(1, Ordering::Relaxed);
    }

    fn raise(number: c_int) {
        // SAFETY: the signal has a handler, and goes to this thread.
        unsafe { libc::raise(number) };
    }

    fn set(number: c_int, handler: sighandler_t) {
        // SAFETY: a handler that only changes an atomic, or to ignore the signal.
        unsafe { libc::signal(number, handler) };
    }

    #[test]
    fn a_signal_is_counted_as_long_as_it_is_watched() {
        let number = libc::SIGWINCH;
        set(
            number,
            earlier_handler as extern "C" fn(c_int) as sighandler_t,
        );
        let first = SignalWatch::new(number).unwrap();
        assert!(!first.has_come());
        raise(number);
        assert!(first.has_come());
        assert_eq!(
            EARLIER_CALLS.load(Ordering::Relaxed),
            1,
            "it is called, too"
        );
        let second = SignalWatch::new(number).unwrap();
        assert!(!second.has_come(), "it came before");
        drop(first);
        raise(number);
        assert!(second.has_come());
        drop(second);
        raise(number);
        assert_eq!(EARLIER_CALLS.load(Ordering::Relaxed), 3, "it is back");
        assert_eq!(
            current(number).unwrap().sa_sigaction,
            earlier_handler as extern "C" fn(c_int) as sighandler_t
        );
    }

    #[test]
    fn a_handler_that_was_replaced_stays() {
        let number = libc::SIGURG;
        let watch = SignalWatch::new(number).unwrap();
        set(number, libc::SIG_IGN);
        drop(watch);
        assert_eq!(current(number).unwrap().sa_sigaction, libc::SIG_IGN);
    }

    #[test]
    fn some_signals_cannot_be_watched() {
        for number in [libc::SIGSEGV, libc::SIGKILL, libc::SIGSTOP, 0, -1, 65, 1000] {
            assert!(SignalWatch::new(number).is_err(), "{number}");
        }
    }
}
