//! Whether another process of this host is alive.

use crate::shm::system::process_state as state;
use rustix::io::Errno;
use rustix::process::Pid;
use std::io;

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

/// Whether there is no such process.
fn is_gone(error: &io::Error) -> bool {
    let no_process = Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(no_process)
}
