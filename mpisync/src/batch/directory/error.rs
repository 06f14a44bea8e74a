//! The errors of a state directory.

use crate::batch::directory::claimant::{Claimant, without_controls};
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why an operation on a state directory failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A state file has a word that names no state.
    #[error(
        "{} says {found:?}, which is no state of a task; set it again (`Directory::set`), or write OPEN, RUNNING, DONE, FAILED \
         or INVALID and a newline into it", shown(.path)
    )]
    UnknownState {
        /// The state file.
        path: PathBuf,
        /// Its first line.
        found: String,
    },
    /// A state file is empty, or holds the beginning of a word.
    #[error(
        "{} is half written: it holds {found:?} and no whole word; its writer was stopped, or the machine was; find out how far \
         the task is, and set it again (`Directory::set`)", shown(.path)
    )]
    HalfWritten {
        /// The state file.
        path: PathBuf,
        /// Its contents.
        found: String,
    },
    /// A file of a task is no regular file but a link, a FIFO, a directory or the like. It is not
    /// opened, because it may lead anywhere.
    #[error(
        "{} has to be a regular file, and is a link, a pipe, a directory or the like, which was left alone; remove it, find out \
         how far the task is, and set it again (`Directory::set`)", shown(.path)
    )]
    NotAFile {
        /// The path that should be a file.
        path: PathBuf,
    },
    /// A directory's name belongs to something else. A task's folder has to be a directory, and not
    /// a link to one.
    #[error(
        "{} has to be a directory, and it or one above it is something else (a task's folder cannot be a link, either); move \
         that away, or name another directory", shown(.path)
    )]
    NotADirectory {
        /// The path that should be a directory.
        path: PathBuf,
    },
    /// The directory, or a task's folder, does not exist.
    #[error("{} is not there; make the tasks' folders with `Directory::create`, or name the directory that has them", shown(.path))]
    Missing {
        /// The missing path.
        path: PathBuf,
    },
    /// The file system does not allow it.
    #[error(
        "this user may not {action} {}; ask its owner for the rights, or use a directory of one's own on a file system that can be \
         written", shown(.path)
    )]
    Permission {
        /// The file.
        path: PathBuf,
        /// The operation.
        action: &'static str,
    },
    /// The task's name cannot be that of a folder.
    #[error(
        "no task can be called {name:?}, for a task's name is that of its folder, and this one {why}; rename the task"
    )]
    Name {
        /// The name.
        name: String,
        /// The reason.
        why: &'static str,
    },
    /// Two tasks have the same name.
    #[error(
        "two tasks are called {name:?}; each has a folder of its own, so give them different names"
    )]
    NameTwice {
        /// The name.
        name: String,
    },
    /// A living job has the task.
    #[error(
        "the task in {} belongs to {by}; wait until it has run it, or end that job: its tasks are free as soon as it gives no \
         heartbeat any more; where that job is known to be gone, set the task by force (`Directory::force`, `mpisync-batch reset \
         --force`)", shown(.path)
    )]
    Taken {
        /// The task's folder.
        path: PathBuf,
        /// The process that has it.
        by: Claimant,
    },
    /// Another job took this one for dead, and has taken over the task.
    #[error(
        "the task in {} was taken over {}, because this job gave no heartbeat for a while; nothing was written, and what the \
         task did here does not count; find out what held this job up, or give it longer (`Options::stale_after`)",
        shown(.path), successor(.by)
    )]
    Lost {
        /// The task's folder.
        path: PathBuf,
        /// The process that has it; unknown if it has released the task.
        by: Option<Claimant>,
    },
    /// The folders of the numbered tasks exist twice, with different numbers of digits.
    #[error(
        "{} has tasks whose numbers have {one} digits and others whose numbers have {other}, so that nobody can tell which of them \
         are meant; move the folders of one width away, or say the tasks' names (`names`)", shown(.path)
    )]
    Numbering {
        /// The directory.
        path: PathBuf,
        /// The number of digits of some of them.
        one: usize,
        /// The number of digits of the others.
        other: usize,
    },
    /// The time after which jobs are taken for dead is too short.
    #[error(
        "a job cannot be taken for dead after {time:?}, for its heartbeats could not come often enough; say {least:?} or more \
         (`stale_after`), and longer than the file system may hang"
    )]
    StaleAfter {
        /// The requested time.
        time: Duration,
        /// The shortest possible time.
        least: Duration,
    },
    /// On this host the directory's name is that of another directory, or of none.
    #[error(
        "{} on host {host} is not the directory that the batch's root sees under that name; name a directory that all hosts share, \
         and not one like /tmp, which each has for itself{}", shown(.path), because(.found)
    )]
    OtherDirectory {
        /// The directory.
        path: PathBuf,
        /// This host.
        host: String,
        /// The error at its place, if there is no directory.
        found: Option<Box<DirectoryError>>,
    },
    /// The file system failed.
    #[error("cannot {action} {}: {error}; see that the file system is there and has room, and run again", shown(.path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The operation.
        action: &'static str,
        /// The operating system's error.
        error: Arc<io::Error>,
    },
}

/// A path on one line. Other users may have chosen the names in it, and must not control a terminal
/// by them.
fn shown(path: &Path) -> String {
    without_controls(&path.to_string_lossy())
}

fn because(found: &Option<Box<DirectoryError>>) -> String {
    match found {
        Some(found) => format!(" ({found})"),
        None => String::new(),
    }
}

fn successor(by: &Option<Claimant>) -> String {
    match by {
        Some(by) => format!("by {by}"),
        None => "by a job that has left it again".to_owned(),
    }
}

impl DirectoryError {
    /// That of a file operation on `path`.
    pub(super) fn io(path: &Path, action: &'static str, error: impl Into<io::Error>) -> Self {
        let (path, error) = (path.to_owned(), error.into());
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT) => DirectoryError::Missing { path },
            Some(Errno::NOTDIR) => DirectoryError::NotADirectory { path },
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
                DirectoryError::Permission { path, action }
            }
            _ => DirectoryError::Io {
                path,
                action,
                error: Arc::new(error),
            },
        }
    }

    /// Whether the error concerns only the contents of a task's folder, and not the file system.
    pub(super) fn is_about_contents(&self) -> bool {
        use DirectoryError::{HalfWritten, NotAFile, UnknownState};
        matches!(
            self,
            UnknownState { .. } | HalfWritten { .. } | NotAFile { .. }
        )
    }
}
