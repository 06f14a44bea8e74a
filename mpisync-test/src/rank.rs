//! The ranks' side: runs the test function as a rank of a job.

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::PathBuf;
use std::process;

use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;
use mpisync::__private::with_causes;
use nix::unistd::{dup2_stderr, dup2_stdout};

use crate::Test;
use crate::outcome::Outcome;
use crate::record::{End, Records};

thread_local! {
    /// The place and the text of this thread's last panic.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The exit code of a rank that has failed.
const FAILED: i32 = 1;

/// Runs the test function with the communicator of all ranks, and ends the process.
pub(crate) fn run<O: Outcome>(
    directory: PathBuf,
    test: &Test,
    body: impl FnOnce(&SimpleCommunicator) -> O,
) -> ! {
    let records = Records(directory);
    if let Err(error) = redirect(&records) {
        // The harness of Rust would print more.
        eprintln!("a rank cannot record its output: {error}");
        process::exit(FAILED);
    }
    let mut has_passed = false;
    mpisync::run(|world| {
        let outcome = run_on(&records, test, world, body);
        has_passed = outcome.is_ok();
        outcome
    });
    let _ = io::stdout().flush();
    // The harness of Rust has nothing to add.
    process::exit(if has_passed { 0 } else { FAILED })
}

/// From now on this process prints into a file of its own. Launchers mix the output of ranks, and lose some when a job is
/// aborted.
fn redirect(records: &Records) -> io::Result<()> {
    io::stdout().flush()?;
    let file = records.output_of(process::id())?;
    dup2_stdout(&file)?;
    dup2_stderr(&file)?;
    Ok(())
}

fn run_on<O: Outcome>(
    records: &Records,
    test: &Test,
    world: &SimpleCommunicator,
    body: impl FnOnce(&SimpleCommunicator) -> O,
) -> Result<(), Box<dyn Error>> {
    if usize::try_from(world.size()) != Ok(test.ranks) {
        records.is_alone()?;
        let (ranks, size) = (test.ranks, world.size());
        return Err(format!("{ranks} ranks were started, but the world has {size}").into());
    }
    mpisync::report_waits_on_signal()?;
    records.begin(world.rank(), process::id())?;
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANIC.set(describe(panic));
        print(panic);
    }));
    // After a panic nothing of the test is used but what its destructors have seen already.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| body(world).into_result()));
    let end = match &outcome {
        Ok(Ok(())) => End::Passed,
        Ok(Err(error)) => End::Failed(with_causes(&**error)),
        Err(_) => End::Panicked(PANIC.take()),
    };
    let recorded = records.end(world.rank(), &end);
    match outcome {
        Ok(outcome) => outcome.and(recorded.map_err(Into::into)),
        Err(panic) => panic::resume_unwind(panic),
    }
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("a value without text");
    match panic.location() {
        Some(place) => format!("at {place}: {message}"),
        None => message.to_owned(),
    }
}
