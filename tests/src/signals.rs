//! Signals to the ranks of a job.

use rustix::process::{Pid, getpid, kill_process};
use std::io;

pub use rustix::process::Signal;

/// Sends a signal to a process of this job: its number is in a word of the scratch memory.
///
/// # Errors
/// If there is no such process any more.
pub fn send(process: u64, signal: Signal) -> io::Result<()> {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let process = process.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(process, signal)?)
}

/// Sends a signal to this process.
///
/// # Panics
/// Never: it is there.
pub fn raise(signal: Signal) {
    kill_process(getpid(), signal).expect("this process is there");
}

/// Ends this process as a crash or the out-of-memory killer would.
pub fn die() -> ! {
    raise(Signal::KILL);
    unreachable!("SIGKILL cannot be survived")
}
