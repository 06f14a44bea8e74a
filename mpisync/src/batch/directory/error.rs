//! What can go wrong with a state directory.

use super::claimant::Claimant;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why something could not be done with a state directory.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A state file holds another word than the five.
    #[error(
        "{} says {found:?}, which is no state of a task; set it again (`Directory::set`), or write OPEN, RUNNING, DONE, FAILED \
         or INVALID and a newline into it", .path.display()
    )]
    UnknownState {
        /// The state file.
        path: PathBuf,
        /// Its first line.
        found: String,
    },
    /// A state file is empty, or has no whole line.
    #[error(
        "{} is half written: it holds {found:?} and no whole line; its writer was stopped, or the machine was; find out how far \
         the task is, and set it again (`Directory::set`)", .path.display()
    )]
    HalfWritten {
        /// The state file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// Something else has the name of a directory.
    #[error("{} has to be a directory, and it or one above it is something else; move that away, or name another directory", .path.display())]
    NotADirectory {
        /// What has to be a directory.
        path: PathBuf,
    },
    /// The directory, or a task's folder, is not there.
    #[error("{} is not there; make the tasks' folders with `Directory::create`, or name the directory that has them", .path.display())]
    Missing {
        /// What is not there.
        path: PathBuf,
    },
    /// The file system does not allow it.
    #[error(
        "this user may not {action} {}; ask its owner for the rights, or use a directory of one's own on a file system that can be \
         written", .path.display()
    )]
    Permission {
        /// The file.
        path: PathBuf,
        /// What was to be done with it.
        action: &'static str,
    },
    /// No folder can have the task's name.
    #[error(
        "no task can be called {name:?}, for a task's name is that of its folder, and this one {why}; rename the task"
    )]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
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
    /// A job that lives has the task.
    #[error(
        "the task in {} belongs to {by}; wait until it has run it, or end that job: its tasks are free as soon as it gives no \
         heartbeat any more", .path.display()
    )]
    Taken {
        /// The task's folder.
        path: PathBuf,
        /// Who has it.
        by: Claimant,
    },
    /// Another job took this one for dead, and has the task now.
    #[error(
        "the task in {} was taken over {}, because this job gave no heartbeat for a while; nothing was written, and what the \
         task did here does not count; find out what held this job up, or give it longer (`Options::stale_after`)",
        .path.display(), successor(.by)
    )]
    Lost {
        /// The task's folder.
        path: PathBuf,
        /// Who has it; unknown where that one is through with it.
        by: Option<Claimant>,
    },
    /// The file system failed.
    #[error("cannot {action} {}: {source}; see that the file system is there and has room, and run again", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was to be done with it.
        action: &'static str,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
}

fn successor(by: &Option<Claimant>) -> String {
    match by {
        Some(by) => format!("by {by}"),
        None => "by a job that has left it again".to_owned(),
    }
}

impl DirectoryError {
    /// That of a file operation on `path`.
    pub(super) fn io(path: &Path, action: &'static str, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT) => DirectoryError::Missing { path },
            Some(Errno::NOTDIR) => DirectoryError::NotADirectory { path },
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
                DirectoryError::Permission { path, action }
            }
            _ => DirectoryError::Io {
                path,
                action,
                source: Arc::new(source),
            },
        }
    }

    /// Whether the file system is fine, and only what a state file says is not.
    pub(super) fn is_about_contents(&self) -> bool {
        use DirectoryError::{HalfWritten, UnknownState};
        matches!(self, UnknownState { .. } | HalfWritten { .. })
    }
}
