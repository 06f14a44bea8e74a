//! What is done about a deadlock.

use crate::environment::{DEADLOCK, ON_DEADLOCK, read_variable};
use crate::error::CreateError;
use core::sync::atomic::{AtomicU32, Ordering};
use std::array;

/// What a rank does if it finds that its wait is a part of a deadlock: ranks that wait for each other,
/// so that none of their waits can end. See [`on_deadlock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDeadlock {
    /// One of the ranks reports the deadlock on standard error, and all go on waiting.
    Report,
    /// The calls of all of them return [`LockError::Deadlock`](crate::LockError::Deadlock), or panic
    /// with it where they return no error.
    Error,
    /// Deadlocks are not looked for.
    Off,
}

/// The setting of this process: one more than the index in [`ALL`]; 0 if it is not known yet.
static SETTING: AtomicU32 = AtomicU32::new(0);

/// In the order of [`ON_DEADLOCK`].
const ALL: [OnDeadlock; ON_DEADLOCK.len()] =
    [OnDeadlock::Report, OnDeadlock::Error, OnDeadlock::Off];

/// Sets for this process what is done about a deadlock, in place of the environment variable
/// `MPISYNC_DEADLOCK` (`report`, `error` or `off`) and the default [`OnDeadlock::Report`].
///
/// Deadlocks of ranks that wait in calls of mpisync without a time limit are found about a second after
/// they have come about on one node, and some seconds over several; the guide shows
/// [a report](crate::guide::stalls#ranks-that-wait-for-each-other), and says which are not found. May be called at any time and by any
/// thread. Should be the same on all ranks: a rank that is set to [`OnDeadlock::Off`] hides the deadlocks
/// that it is in from the others.
///
/// ```
/// use mpisync::OnDeadlock;
///
/// mpisync::on_deadlock(OnDeadlock::Error);
/// ```
pub fn on_deadlock(setting: OnDeadlock) {
    let index = ALL.iter().position(|one| *one == setting);
    let index = index.expect("a list of all") as u32;
    SETTING.store(index + 1, Ordering::Relaxed);
}

/// The setting.
pub(super) fn on_deadlock_now() -> OnDeadlock {
    let setting = SETTING.load(Ordering::Relaxed);
    match setting.checked_sub(1) {
        Some(index) => ALL[index as usize],
        None => {
            // A value without a meaning is an error where an object is made.
            let set = from_environment().unwrap_or_default();
            let setting = set.unwrap_or(OnDeadlock::Report);
            on_deadlock(setting);
            setting
        }
    }
}

/// Whether this process looks for deadlocks.
#[cfg(feature = "mpi")]
pub(crate) fn looks_for_deadlocks() -> bool {
    on_deadlock_now() != OnDeadlock::Off
}

fn from_environment() -> Result<Option<OnDeadlock>, CreateError> {
    let value = |index: usize| (ON_DEADLOCK[index], Some(ALL[index]));
    read_variable(DEADLOCK, &array::from_fn::<_, { ALL.len() }, _>(value))
}
