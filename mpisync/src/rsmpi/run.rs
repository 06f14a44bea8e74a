//! The entry point of a program.

use crate::error::panic_text;
use crate::rsmpi::end;
use crate::rsmpi::universe::{PANICKED, initialize};
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::error::Error;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::{ExitCode, Termination};
use std::thread;

/// The exit code of a rank that has returned an error.
const FAILED: u8 = 1;

/// Runs a program: initializes MPI as [`initialize`] does, calls `program` with the communicator of
/// all ranks, and finalizes MPI. Collective over all processes of the world; may be called once per
/// process, at the end of `main`.
///
/// ```no_run
/// use mpisync::prelude::*;
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     mpisync::run(|world| -> Result<(), Box<dyn std::error::Error>> {
///         let input = std::fs::read_to_string(format!("input.{}", world.rank()))?;
///         let mut lines = Mutex::with_value(world, 0_u64)?;
///         *lines.lock() += input.lines().count() as u64;
///         Ok(())
///     })
/// }
/// ```
///
/// A function works as well: `mpisync::run(program)` with
/// `fn program(world: &SimpleCommunicator) -> anyhow::Result<()>`. The value of a rank that succeeds
/// determines its exit code, as that of `main` does.
///
/// # A rank that fails
/// If `program` returns an error, this rank prints it at once on standard error, with its rank and
/// its causes: `rank 3 failed: cannot read input.3: No such file or directory`. If `program`
/// panics, the panic hook has printed `rank 3 panicked at src/main.rs:12:5: …`.
///
/// Then the other ranks have a grace, in which they may come to their own end: 5 seconds, or as many
/// as the environment variable `MPISYNC_GRACE` says; `inf` is without end. If all ranks end, MPI is
/// finalized and the exit code of this rank is 1 after an error and 101 after a panic. Otherwise, because a
/// rank computes on or waits for this one, this rank aborts the job with that code.
///
/// # Panics
/// If MPI was initialized before.
///
/// It sets a panic hook. A program with its own sets it in `program`.
pub fn run<T, E>(program: impl FnOnce(&SimpleCommunicator) -> Result<T, E>) -> ExitCode
where
    T: Termination,
    E: Into<Box<dyn Error>>,
{
    let universe = initialize().expect("MPI is initialized once");
    let world = universe.world();
    let rank = world.rank();
    panic::set_hook(Box::new(move |panic| {
        end::print(&report(rank, panic));
        // At the end of a thread the variable may be gone.
        let message = panic_text(panic.payload()).map(str::to_owned);
        let _ = LAST_PANIC.try_with(|last| last.set(message));
    }));
    // After a panic no value of the program is used but what its destructors have seen already.
    let code = match panic::catch_unwind(AssertUnwindSafe(|| program(&world))) {
        Ok(Ok(value)) => return value.report(),
        Ok(Err(error)) => {
            let error: Box<dyn Error> = error.into();
            end::print(&format!("rank {rank} failed: {}", with_causes(&*error)));
            FAILED
        }
        Err(_) => PANICKED,
    };
    end::fail(code);
    ExitCode::from(code)
}

thread_local! {
    static LAST_PANIC: Cell<Option<String>> = const { Cell::new(None) };
}

/// The message of this thread's last panic, once, if the panic hook of [`run`] has kept it. The
/// library sets no other hook: that of a process belongs to the program. A destructor learns that its
/// thread panics from [`thread::panicking`], and the message from a hook only.
pub(crate) fn take_panic_message() -> Option<String> {
    LAST_PANIC.try_with(Cell::take).ok().flatten()
}

/// The error, followed by those of its causes whose text it does not contain. `mpisync-test` uses it.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

/// What the hook prints: the rank, the place and the message, and a backtrace if one is asked for.
fn report(rank: i32, panic: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let thread = match thread.name() {
        None | Some("main") => String::new(),
        Some(name) => format!(" in thread {name}"),
    };
    let place = panic.location().map(|place| format!(" at {place}"));
    let place = place.unwrap_or_default();
    let message = panic_text(panic.payload()).unwrap_or("a value without text");
    let mut text = format!("rank {rank} panicked{thread}{place}: {message}");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text = format!("{text}\n{backtrace}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Failure(&'static str, Option<Box<Failure>>);

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Failure {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    fn failure(texts: &[&'static str]) -> Option<Box<Failure>> {
        let (first, rest) = texts.split_first()?;
        Some(Box::new(Failure(first, failure(rest))))
    }

    #[test]
    fn causes_are_printed_once() {
        let printed = |texts| with_causes(&failure(texts).expect("an error"));
        assert_eq!(printed(&["alone"]), "alone");
        assert_eq!(printed(&["no input", "no file"]), "no input: no file");
        assert_eq!(
            printed(&["no input: no file", "no file"]),
            "no input: no file"
        );
        assert_eq!(printed(&["a: c", "b", "c", ""]), "a: c: b");
    }
}
