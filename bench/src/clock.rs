//! The clock that all ranks of a host share.
//!
//! `CLOCK_MONOTONIC` has the same epoch in every process of a host, so a moment chosen by one rank
//! has the same meaning for the others. `std::time::Instant` reads it too, but cannot be sent.

use std::time::Duration;

use rustix::{
    io::retry_on_intr,
    thread::clock_nanosleep_absolute,
    time::{ClockId, Timespec, clock_gettime},
};

/// Nanoseconds since an epoch that all processes of this host share.
pub fn now() -> u64 {
    read(ClockId::Monotonic)
}

/// The processor time of all threads of this process, in nanoseconds.
pub fn processor_time() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// The processor time of this thread, in nanoseconds.
pub fn thread_time() -> u64 {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = Duration::try_from(clock_gettime(clock)).expect("clocks begin at 0");
    time.as_nanos() as u64
}

/// Sleeps until [`now`] reaches `moment`.
pub fn sleep_until(moment: u64) {
    let moment = Duration::from_nanos(moment);
    let time = Timespec::try_from(moment).expect("a time of this clock");
    let slept = retry_on_intr(|| clock_nanosleep_absolute(ClockId::Monotonic, &time));
    slept.expect("Linux always has this clock");
}
