//! A clock that all processes of a host read alike.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The time since some instant, such as the start of the host. It never goes back.
pub(crate) fn since_start() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
