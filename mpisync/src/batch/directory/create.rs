//! Making the tasks' folders.

use crate::batch::State;
use crate::batch::directory::claim::{Acquired, Purpose};
use crate::batch::directory::error::DirectoryError;
use crate::batch::directory::file::STATE;
use crate::batch::directory::open::Root;
use crate::batch::directory::{Directory, Shared, open};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The longest name of a folder, in bytes, on nearly all file systems.
const LONGEST: usize = 255;

/// Checks that folders can have these names.
pub(super) fn check(names: &[String]) -> Result<(), DirectoryError> {
    let mut seen = HashSet::with_capacity(names.len());
    for name in names {
        let flaw = match name.as_str() {
            "" => Some("is empty"),
            "." | ".." => Some("means another directory"),
            name if name.starts_with('.') => Some("begins with a dot, which would hide it"),
            name if name.contains('/') => Some("has a slash"),
            name if name.contains('\0') => Some("has a zero byte"),
            name if name.len() > LONGEST => Some("is longer than 255 bytes"),
            _ => None,
        };
        let name = || name.clone();
        if let Some(why) = flaw {
            return Err(DirectoryError::Name { name: name(), why });
        }
        if !seen.insert(name()) {
            return Err(DirectoryError::NameTwice { name: name() });
        }
    }
    Ok(())
}

impl Directory {
    /// Makes the missing folders and states.
    pub(super) fn make(&self) -> Result<(), DirectoryError> {
        let root = self.root();
        let mut is_changed = make_root(root)?;
        for task in 0..self.names().len() {
            is_changed |= self.shared.make_task(task)?;
        }
        if is_changed && self.shared.options.durable {
            // Once for all files: a call for each would take longer than everything else.
            flush(&self.shared.root)?;
        }
        Ok(())
    }
}

impl Shared {
    /// Makes a task's folder and state if it has none, and opens it if it is invalid. Returns
    /// whether anything changed.
    fn make_task(self: &Arc<Self>, task: usize) -> Result<bool, DirectoryError> {
        let folder = self.folder(task);
        let made = folder.state().and_then(|found| match found {
            None => {
                folder.make()?;
                folder.make_state(State::Open, &self.owner().unique_name())?;
                Ok(true)
            }
            Some(found) if found.state == State::Invalid => self.open_task(task),
            Some(_) => Ok(false),
        });
        match made {
            // A person has to look at this one. The others can run.
            Err(error) if folder.is_cause_of(&error) => Ok(false),
            made => made,
        }
    }

    /// Opens an invalid task, unless another job does.
    fn open_task(self: &Arc<Self>, task: usize) -> Result<bool, DirectoryError> {
        match self.acquire(task, Purpose::OpenInvalid)? {
            Acquired::Mine(claim, _) => claim.settle(State::Open, None).map(|()| true),
            Acquired::Over(_) | Acquired::Taken(_) => Ok(false),
        }
    }
}

/// Makes the root and its parents. False if it exists already.
fn make_root(root: &Path) -> Result<bool, DirectoryError> {
    if root.is_dir() {
        return Ok(false);
    }
    match fs::create_dir_all(root) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let path = root.to_owned();
            Err(DirectoryError::NotADirectory { path })
        }
        Err(error) => Err(DirectoryError::io(root, "make", error)),
    }
}

/// Flushes the file system of `root` to disk.
fn flush(root: &Root) -> Result<(), DirectoryError> {
    let handle = root.handle()?;
    #[cfg(target_os = "linux")]
    let flushed = rustix::io::retry_on_intr(|| rustix::fs::syncfs(handle));
    #[cfg(not(target_os = "linux"))]
    let flushed = rustix::io::retry_on_intr(|| rustix::fs::fsync(handle));
    flushed.map_err(|error| DirectoryError::io(root.path(), "write to disk", error))
}

/// The names of the tasks in `root`, in order.
pub(super) fn find(root: &Root) -> Result<Vec<String>, DirectoryError> {
    let handle = root.handle()?;
    let failed = |error| DirectoryError::io(root.path(), "read", error);
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(handle).map_err(failed)? {
        // A task's name is UTF-8; anything else is not a task.
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if !name.starts_with('.') && has_state(root, name)? {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether there is a folder of that name with a state file. True if that is unknown.
fn has_state(root: &Root, name: &str) -> Result<bool, DirectoryError> {
    let found = open::is_there(root.handle()?, &format!("{name}/{STATE}"));
    Ok(!matches!(found, Ok(false) | Err(Errno::NOTDIR)))
}

/// The number of digits in the names of numbered tasks in the directory at `path`: as many as the
/// existing tasks have, so that a task keeps its folder if the number of tasks changes; `digits`
/// if there are none.
pub(crate) fn digits(path: &Path, digits: usize) -> Result<usize, DirectoryError> {
    let root = Root::new(path.to_owned());
    match root.handle() {
        Ok(_) => {}
        // It will be made.
        Err(DirectoryError::Missing { .. }) => return Ok(digits),
        Err(error) => return Err(error),
    }
    let mut found = None;
    // If there are tasks, the first one is among them.
    for other in 1..=usize::MAX.ilog10() as usize + 1 {
        if !has_state(&root, &"0".repeat(other))? {
            continue;
        }
        if let Some(one) = found.replace(other) {
            let path = path.to_owned();
            return Err(DirectoryError::Numbering { path, one, other });
        }
    }
    Ok(found.unwrap_or(digits))
}
