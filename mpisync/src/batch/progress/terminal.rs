//! The terminal on which a bar is drawn.
//!
//! The standard error of a rank is a pipe, which MPI's launcher copies to its own standard error.
//! So the standard error of the launcher, not that of the rank, shows whether there is a terminal.

use crate::shm::lock;
use indicatif::TermLike;
use rustix::fs::OFlags;
use rustix::termios::{LocalModes, tcgetattr, tcgetwinsize};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{env, fs, process};

/// The beginnings of the names of the launchers and of their helper processes.
const LAUNCHERS: [&str; 7] = [
    "mpirun", "mpiexec", "orterun", "orted", "prterun", "prted", "hydra_",
];

/// The width of a terminal that does not know its own.
const WIDTH: u16 = 80;

/// A terminal on which this process may draw while another one, the launcher, is in the foreground
/// of it. Clones have the same output.
#[derive(Clone, Debug)]
pub(super) struct Terminal(Arc<Drawing>);

#[derive(Debug)]
struct Drawing {
    file: File,
    /// The process whose standard error it is: this one or the launcher.
    owner: u32,
    /// What is written by the next flush, in one piece.
    pending: Mutex<Vec<u8>>,
}

impl Terminal {
    /// The terminal behind the standard error of this process. None if there is none, if the
    /// launcher is on another host, or if drawing might disturb another program.
    pub(super) fn find() -> Option<Self> {
        // Terminals without cursor movements.
        if env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb") {
            return None;
        }
        let own = io::stderr();
        let (file, owner) = match own.is_terminal() {
            true => (own.as_fd().try_clone_to_owned().ok()?.into(), process::id()),
            false => behind_launcher()?,
        };
        let drawing = Drawing {
            file,
            owner,
            pending: Mutex::default(),
        };
        drawing.is_allowed().then(|| Terminal(Arc::new(drawing)))
    }
}

/// The standard error of the launcher, if it is a terminal, and the launcher.
fn behind_launcher() -> Option<(File, u32)> {
    let own = stderr_of(process::id()).filter(|stderr| is_passed_on(stderr))?;
    let mut process = Process::of(parent_id())?;
    // A script between the launcher and this process. If it had redirected the standard error,
    // that of this process would be another one.
    while stderr_of(process.id).as_ref() == Some(&own) {
        process = Process::of(process.parent)?;
    }
    while process.is_launcher() {
        let mut options = File::options();
        // A process that leads a session must not make the terminal its own. A terminal that shows
        // nothing at the moment must not delay a rank.
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
        options.write(true).custom_flags(flags.bits() as i32);
        let terminal = options.open(format!("/proc/{}/fd/2", process.id)).ok();
        if let Some(terminal) = terminal.filter(File::is_terminal) {
            return Some((terminal, process.id));
        }
        // It ends in a file, for example.
        stderr_of(process.id).filter(|stderr| is_passed_on(stderr))?;
        process = Process::of(process.parent)?;
    }
    None
}

/// What the standard error of a process is: `pipe:[…]` for example.
fn stderr_of(process: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/fd/2")).ok()
}

/// Whether another process, perhaps the launcher, reads this standard error.
fn is_passed_on(stderr: &Path) -> bool {
    let name = stderr.to_string_lossy();
    name.starts_with("pipe:") || name.starts_with("socket:")
}

impl Drawing {
    /// Whether the user sees the terminal as that of the launcher.
    ///
    /// When the launcher has ended, is suspended, or runs in the background, the terminal belongs to
    /// another program.
    fn is_allowed(&self) -> bool {
        Process::of(self.owner).is_some_and(|owner| owner.is_in_foreground())
            && (self.owner == process::id() || !self.stops_background())
    }

    /// Whether the terminal stops this process if it writes. Ranks have process groups of their own,
    /// so they are in the background.
    fn stops_background(&self) -> bool {
        tcgetattr(&self.file).is_ok_and(|modes| modes.local_modes.contains(LocalModes::TOSTOP))
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        let size = tcgetwinsize(&self.0.file);
        size.map_or(WIDTH, |size| match size.ws_col {
            0 => WIDTH,
            columns => columns,
        })
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.move_cursor(lines, 'A')
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.move_cursor(lines, 'B')
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.move_cursor(columns, 'C')
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.move_cursor(columns, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.write_str("\r\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        lock(&self.0.pending).write_all(text.as_bytes())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let mut pending = lock(&self.0.pending);
        let written = match self.0.is_allowed() {
            true => (&self.0.file).write_all(&pending),
            false => Ok(()),
        };
        pending.clear();
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            written => written,
        }
    }
}

impl Terminal {
    fn move_cursor(&self, distance: usize, direction: char) -> io::Result<()> {
        match distance {
            // The terminal takes 0 for 1.
            0 => Ok(()),
            _ => self.write_str(&format!("\x1b[{distance}{direction}")),
        }
    }
}

/// Linux's data of a running process.
#[derive(PartialEq, Eq, Debug)]
struct Process {
    id: u32,
    name: String,
    parent: u32,
    group: i32,
    /// The process group in the foreground of its terminal; -1 without a terminal.
    foreground: i32,
}

impl Process {
    fn of(id: u32) -> Option<Self> {
        Self::parse(id, &fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// None for one that has ended, too.
    fn parse(id: u32, stat: &str) -> Option<Self> {
        // The name is in parentheses, and may contain any character.
        let (name, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let &[state, parent, group, _session, _terminal, foreground, ..] = &fields[..] else {
            return None;
        };
        (!matches!(state, "Z" | "X")).then_some(Process {
            id,
            name: name.to_owned(),
            parent: parent.parse().ok()?,
            group: group.parse().ok()?,
            foreground: foreground.parse().ok()?,
        })
    }

    fn is_launcher(&self) -> bool {
        let mut launchers = LAUNCHERS.iter();
        launchers.any(|launcher| self.name.starts_with(launcher))
    }

    /// Without job control each process is.
    fn is_in_foreground(&self) -> bool {
        [-1, self.group].contains(&self.foreground)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_from_its_line() {
        let line = "7 (mpiexec (4) x) S 5 7 3 34816 7 4194304 1 2";
        let process = Process::parse(7, line).expect("it runs");
        assert_eq!((process.parent, &*process.name), (5, "mpiexec (4) x"));
        assert!(process.is_launcher() && process.is_in_foreground());
        let shell = Process::parse(8, "8 (bash) S 5 8 3 34816 7 0").expect("it runs");
        assert!(!shell.is_launcher() && !shell.is_in_foreground());
        let service = Process::parse(9, "9 (prted) S 1 9 9 0 -1 0").expect("it runs");
        assert!(service.is_launcher() && service.is_in_foreground());
        for line in ["", "7", "7 (mpiexec) S 5", "7 (mpiexec) Z 5 7 3 0 -1 0"] {
            assert_eq!(Process::parse(7, line), None, "{line}");
        }
    }

    #[test]
    fn this_process_is_there() {
        let own = Process::of(process::id()).expect("it runs");
        assert_eq!(own.parent, parent_id());
        assert!(stderr_of(process::id()).is_some());
    }
}
