//! Reports that are requested by a signal.

use crate::shm::signal::set_handler;
use crate::shm::waiting::REQUESTS;
use core::sync::atomic::Ordering;
use std::io;

/// Lets the signal `SIGUSR1` request a report of this process's waits: `kill -USR1 PID`, or
/// `pkill -USR1 PROGRAM` on each node.
///
/// Each call of this process that waits then writes a report to standard error within a fifth of a
/// second, whatever [`report_waits_after`](crate::report_waits_after) says. A process that waits in
/// no call of mpisync writes nothing. The handler only increments a number. It replaces an earlier
/// handler of the signal.
///
/// # Errors
/// Those of `sigaction`.
///
/// ```
/// mpisync::report_waits_on_signal()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn report_waits_on_signal() -> io::Result<()> {
    let handler = request as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler takes one argument, and only changes an atomic, which is safe in a signal
    // handler.
    unsafe { set_handler(libc::SIGUSR1, handler, 0) }
}

extern "C" fn request(_: libc::c_int) {
    REQUESTS.fetch_add(1, Ordering::Relaxed);
}
