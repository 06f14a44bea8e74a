//! Telling whether another process of this host still runs.

use rustix::io::Errno;
use rustix::process::Pid;
use std::io;

/// A process, named so that a later one with the same number is not taken for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Process {
    pub(crate) id: u32,
    /// When it was started, in the kernel's ticks since boot; 0 where that cannot be told.
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

    /// Whether it still runs. A process that was killed and not yet reaped by its parent does not.
    ///
    /// Where that cannot be told (no `/proc`, or a rank that hides in another PID namespace), it is
    /// taken to run.
    pub(crate) fn is_alive(self) -> bool {
        if self.born == 0 {
            return true;
        }
        match state(self.id) {
            Ok((state, born)) => born == self.born && !matches!(state, b'Z' | b'X'),
            // Where this process has no file descriptors left, say, the other one lives all the same; and `/proc` may hide the
            // processes of other users.
            Err(error) => !is_gone(&error) || self.is_hidden(),
        }
    }

    /// Whether there is a process with its number, as far as signals tell, which see through
    /// `hidepid` (proc(5)).
    fn is_hidden(self) -> bool {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        let found = id.map(rustix::process::test_kill_process);
        matches!(found, Some(Ok(()) | Err(Errno::PERM)))
    }

    /// Whether this process sees `self` under its number; false for a process of another PID
    /// namespace.
    pub(crate) fn is_visible(self) -> bool {
        state(self.id).is_ok_and(|(_, born)| born == self.born)
    }
}

/// State letter and start time, fields 3 and 22 of `/proc/ID/stat` (proc(5)).
#[cfg(target_os = "linux")]
fn state(id: u32) -> io::Result<(u8, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields = || {
        // The second field, the program's name in brackets, may itself hold blanks and brackets.
        let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        Some((state, fields.nth(18)?.parse().ok()?))
    };
    fields().ok_or(io::ErrorKind::InvalidData.into())
}

/// Whether there is no such process.
fn is_gone(error: &io::Error) -> bool {
    let no_process = Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(no_process)
}

#[cfg(not(target_os = "linux"))]
fn state(_id: u32) -> io::Result<(u8, u64)> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_an_ended_one_does_not() {
        let this = Process::this();
        assert!(this.born > 0 && this.is_alive());
        assert!(
            !Process {
                born: this.born + 1,
                ..this
            }
            .is_alive()
        );
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep");
        let (_, born) = state(child.id()).expect("it runs");
        let process = Process {
            id: child.id(),
            born,
        };
        assert!(process.is_alive());
        child.kill().expect("a child of ours");
        // A zombie first, then gone.
        while process.is_alive() {
            std::thread::yield_now();
        }
        child.wait().expect("a child of ours");
        assert!(!process.is_alive());
    }
}
