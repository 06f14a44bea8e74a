//! The clock that all ranks of a host share.
//!
//! `CLOCK_MONOTONIC` has the same epoch in every process of a host, so a moment chosen by one rank
//! has the same meaning for the others. `std::time::Instant` reads it too, but cannot be sent.

use libc::{
    CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, EINTR, TIMER_ABSTIME,
    clock_gettime, clock_nanosleep, clockid_t, timespec,
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Nanoseconds since an epoch that all processes of this host share.
pub fn now() -> u64 {
    read(CLOCK_MONOTONIC)
}

/// The processor time of all threads of this process, in nanoseconds.
pub fn processor_time() -> u64 {
    read(CLOCK_PROCESS_CPUTIME_ID)
}

/// The processor time of this thread, in nanoseconds.
pub fn thread_time() -> u64 {
    read(CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: clockid_t) -> u64 {
    let mut time = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a timespec that lives through the call.
    let outcome = unsafe { clock_gettime(clock, &mut time) };
    assert_eq!(outcome, 0, "Linux always has these clocks");
    time.tv_sec as u64 * NANOS_PER_SECOND + time.tv_nsec as u64
}

/// Sleeps until [`now`] reaches `moment`.
pub fn sleep_until(moment: u64) {
    let time = timespec {
        tv_sec: (moment / NANOS_PER_SECOND) as libc::time_t,
        tv_nsec: (moment % NANOS_PER_SECOND) as libc::c_long,
    };
    loop {
        // SAFETY: `time` lives through the call; with TIMER_ABSTIME no remaining time is written.
        let outcome =
            unsafe { clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, std::ptr::null_mut()) };
        match outcome {
            0 => return,
            EINTR => continue,
            error => panic!("clock_nanosleep failed with error {error}"),
        }
    }
}
