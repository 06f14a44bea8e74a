//! Whether another process of this host is alive, and what it is doing.

use crate::shm::system::{pid_namespace, process_activity, process_state as state};
use rustix::io::Errno;
use rustix::process::Pid;
use std::io;
use std::time::Duration;

/// A process, identified so that a later process with the same number is not mistaken for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Process {
    pub(crate) id: u32,
    /// Its start time in the kernel's ticks since boot; 0 if unknown.
    pub(crate) born: u64,
}

impl Process {
    /// This process.
    pub(crate) fn this() -> Self {
        let id = std::process::id();
        Process {
            id,
            born: state(id).map_or(0, |(_, born)| born),
        }
    }

    /// Whether the process is alive. One that was killed and not yet reaped by its parent is not.
    ///
    /// A process of unknown state is considered alive: there is no `/proc`, or the rank is in
    /// another PID namespace.
    pub(crate) fn is_alive(self) -> bool {
        if self.born == 0 {
            return true;
        }
        match state(self.id) {
            Ok((state, born)) => born == self.born && !matches!(state, b'Z' | b'X'),
            // Other errors, such as a lack of file descriptors, say nothing about the process; and
            // `/proc` may hide the processes of other users.
            Err(error) => !is_gone(&error) || self.is_hidden(),
        }
    }

    /// What the process is doing, for people. None if it cannot be looked at.
    pub(crate) fn activity(self) -> Option<Activity> {
        (self.born != 0 && self.is_visible()).then(|| process_activity(self.id))?
    }

    /// Whether a process with this number exists according to `kill`, which `hidepid` (proc(5))
    /// does not affect.
    fn is_hidden(self) -> bool {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        let found = id.map(rustix::process::test_kill_process);
        matches!(found, Some(Ok(()) | Err(Errno::PERM)))
    }

    /// Whether `/proc` of this process shows `self` under its number; false for a process of
    /// another PID namespace.
    pub(crate) fn is_visible(self) -> bool {
        state(self.id).is_ok_and(|(_, born)| born == self.born)
    }
}

/// The PID namespace of this process; 0 if unknown.
pub(crate) fn namespace() -> u64 {
    pid_namespace().unwrap_or(0)
}

/// What a process is doing at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    /// The state letter of `/proc/ID/stat` (proc(5)).
    pub(super) state: u8,
    /// The CPU time of all its threads so far.
    pub(super) cpu_time: Duration,
    /// The kernel function in which its first thread sleeps; empty if not known.
    pub(crate) sleeps_in: String,
}

impl Activity {
    /// Whether a signal or a debugger has stopped the process.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Whether the process runs: it is running now, or it has run for at least half of the time since
    /// an earlier look, which was that long ago.
    pub(crate) fn ran_since(&self, before: Option<(&Activity, Duration)>) -> bool {
        let ran = before.is_some_and(|(before, time)| {
            self.cpu_time.saturating_sub(before.cpu_time) >= time / 2
        });
        self.state == b'R' || ran
    }
}

/// Whether there is no such process.
fn is_gone(error: &io::Error) -> bool {
    let no_process = Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(no_process)
}
