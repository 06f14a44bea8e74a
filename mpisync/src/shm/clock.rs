//! A clock that all processes of a host read alike.

use std::time::Duration;

/// The time since some instant, such as the start of the host. It never goes back.
///
/// By libc: rustix looks for the kernel's page of fast calls itself, and valgrind hides that page.
pub(crate) fn since_start() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the result goes to a live variable.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    assert_eq!(done, 0, "every Linux has this clock");
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
