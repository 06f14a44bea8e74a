//! The end of a rank: before MPI is finalized it waits until all ranks have come to their end. A
//! rank that has failed does not wait longer than a grace, then it aborts the job.

use crate::environment::{GRACE, value_of};
use crate::rsmpi::attribute;
use crate::rsmpi::comm::{Farewell, OwnComm};
use crate::rsmpi::context::contexts;
use crate::rsmpi::universe::PANICKED;
use crate::rsmpi::waiting::Waiting;
use crate::shm::lock;
use crate::shm::wait::Surroundings;
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A duplicate of the world, on which the ranks meet at their end.
static WORLD: Mutex<Option<OwnComm>> = Mutex::new(None);
/// The exit code of this rank if it has failed, or 0.
static FAILED: AtomicU8 = AtomicU8::new(0);

/// The grace unless the environment sets another.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);
/// How long this rank sleeps between two looks at the others.
const SLEEP: Duration = Duration::from_micros(100);
/// How often it looks for dead ranks, which takes longer.
const INSPECTION: Duration = Duration::from_millis(200);

/// Makes this rank wait for the others before MPI is finalized. Collective.
pub(super) fn prepare(world: &SimpleCommunicator) {
    // Without it the ranks cannot meet. A rank that fails then always waits for the whole grace.
    *lock(&WORLD) = OwnComm::duplicate(world, Waiting::new(world, None)).ok();
    attribute::at_end(wait_for_all);
}

/// Records that this rank has failed. If not all other ranks come to their end within the grace, it
/// aborts the job with `code`, which is not 0.
pub(super) fn fail(code: u8) {
    FAILED.store(code, Ordering::Relaxed);
}

/// Whether this rank has failed by a panic.
pub(super) fn has_panicked() -> bool {
    FAILED.load(Ordering::Relaxed) == PANICKED
}

/// Waits until all ranks have come here. Gives up where they cannot, because one has died.
fn wait_for_all() {
    let code = FAILED.load(Ordering::Relaxed);
    let grace = (code != 0).then(grace);
    let start = Instant::now();
    let world = lock(&WORLD).take();
    let contexts = contexts();
    let one_has_died = || {
        contexts
            .iter()
            .any(|context| context.domain().has_lost_ranks())
    };
    // MPI may have to ask the launcher for the way to a rank. Open MPI's launcher crashes over such a question while it
    // kills the job because of a dead rank.
    let world = world.filter(|_| !one_has_died());
    let mut farewell = world.and_then(|world| world.begin_barrier().ok());
    let mut inspected = start;
    loop {
        match farewell.as_mut().map(Farewell::is_over) {
            Some(Ok(true)) => {
                #[cfg(feature = "trace")]
                crate::rsmpi::trace::end();
                return;
            }
            Some(Ok(false)) => {}
            // MPI has failed.
            Some(Err(_)) | None => farewell = None,
        }
        match grace {
            Some(grace) if start.elapsed() >= grace => abort(code, grace),
            Some(_) => {}
            None if farewell.is_none() => return,
            None if inspected.elapsed() >= INSPECTION => {
                inspected = Instant::now();
                if one_has_died() {
                    return;
                }
            }
            None => {}
        }
        for context in &contexts {
            context.domain().progress();
        }
        thread::sleep(SLEEP);
    }
}

/// The grace that a rank which has failed gives the others.
fn grace() -> Duration {
    let Some(value) = value_of(GRACE) else {
        return DEFAULT_GRACE;
    };
    seconds(&value.to_string_lossy()).unwrap_or_else(|| {
        print(&format!(
            "mpisync: {GRACE} is {value:?}, which is not a number of seconds; {DEFAULT_GRACE:?} is used"
        ));
        DEFAULT_GRACE
    })
}

/// A number of seconds, which may be `inf`.
fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.trim().parse().ok()?;
    if seconds == f64::INFINITY {
        return Some(Duration::MAX);
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Ends the job.
fn abort(code: u8, grace: Duration) -> ! {
    let world = SimpleCommunicator::world();
    print(&format!(
        "rank {} aborts the job: after its failure not all other ranks have ended within {grace:?} ({GRACE})",
        world.rank()
    ));
    // The process ends without Rust's destructors.
    let _ = io::stdout().flush();
    // What MPICH's launcher has not passed on yet is lost.
    thread::sleep(Duration::from_millis(200));
    world.abort(code.into())
}

/// Prints a line on standard error at once, in one piece.
pub(super) fn print(line: &str) {
    // Where it is closed, the exit code has to do.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_is_a_number_of_seconds() {
        assert_eq!(seconds("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(seconds(" 60 "), Some(Duration::from_secs(60)));
        assert_eq!(seconds("inf"), Some(Duration::MAX));
        for text in ["", "-1", "NaN", "5 s", "1e30"] {
            assert_eq!(seconds(text), None, "{text:?}");
        }
    }
}
