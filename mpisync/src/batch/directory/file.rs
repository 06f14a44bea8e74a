//! The files of a task, and the operations on them.

use crate::batch::directory::error::DirectoryError;
use crate::batch::directory::open;
use crate::batch::directory::open::{Opened, Root, Unopened};
use crate::batch::{State, UnknownWord};
use crate::shm::cells::shortened;
use rustix::fs::{AtFlags, Mode};
use rustix::io::{Errno, retry_on_intr};
use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is to be done with a file that an error is about.
const READ: &str = "read";
/// What is to be done with a folder that an error is about.
const OPEN: &str = "open";
/// The file with a task's state.
pub(super) const STATE: &str = "state";
/// The file with the reason why a task failed.
const REASON: &str = "reason";
/// The file with the number of times that a task was begun.
const TRIES: &str = "tries";
/// The most bytes of it that are read; no number has as many.
const LONGEST_NUMBER: usize = 16;
/// The most bytes of a state file that are read; no state has as many.
const LONGEST: usize = 256;
/// The most bytes of a reason that are written or read.
pub(super) const LONGEST_REASON: usize = 64 * 1024;

/// The folder of a task. It is opened when it is first needed.
#[derive(Debug)]
pub(super) struct Folder {
    root: Arc<Root>,
    name: String,
    handle: OnceCell<OwnedFd>,
}

/// A state, and the time since 1970 when it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) state: State,
    pub(super) written: Duration,
}

/// A file that is written and does not have its name yet. Removed on drop, unless it was
/// [put](Self::put) into its place.
#[must_use = "a file that is not put into its place is removed"]
pub(super) struct Staged<'a> {
    folder: &'a Folder,
    temp: String,
    name: &'static str,
}

impl Folder {
    pub(super) fn new(root: &Arc<Root>, name: &str) -> Self {
        Folder {
            root: Arc::clone(root),
            name: name.to_owned(),
            handle: OnceCell::new(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.root.path().join(&self.name)
    }

    /// The state; `None` if there is no state file or no folder.
    pub(super) fn state(&self) -> Result<Option<Found>, DirectoryError> {
        match self.handle() {
            Ok(_) => {}
            Err(DirectoryError::Missing { path }) if path == self.path() => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(file) = self.open_file(STATE)? else {
            return Ok(None);
        };
        let mut contents = [0; LONGEST];
        let length = file.read_into(&mut contents);
        let length = length.map_err(|error| self.failed(STATE, READ, error))?;
        let state = parse(|| self.path().join(STATE), &contents[..length])?;
        let written = file.modified;
        Ok(Some(Found { state, written }))
    }

    /// The time since 1970 when the state was written.
    pub(super) fn written(&self) -> Result<Duration, DirectoryError> {
        match self.open_file(STATE)? {
            Some(file) => Ok(file.modified),
            None => Err(DirectoryError::Missing {
                path: self.path().join(STATE),
            }),
        }
    }

    /// Whether it can be opened.
    pub(super) fn check(&self) -> Result<(), DirectoryError> {
        self.handle().map(|_| ())
    }

    /// Makes the claim with this number as a whole; `None` if it exists already. `unique` is part
    /// of a temporary name and is used by no other call.
    pub(super) fn create_claim(
        &self,
        number: u64,
        text: &str,
        unique: &str,
    ) -> Result<Option<File>, DirectoryError> {
        let name = claim_name(number);
        let temp = temp_name("claim", unique);
        let created = open::to_write_new(self.handle()?, &temp);
        let mut file = created.map_err(|error| self.failed(&name, "create", error))?;
        let made = match file.write_all(text.as_bytes()) {
            Ok(()) => self.publish(&file, &temp, &name),
            Err(error) => Err(self.failed(&name, "write", error)),
        };
        // A file that is left over does no harm.
        let _ = self.remove(&temp);
        Ok(made?.then_some(file))
    }

    /// Gives a file with a temporary name another one; false if that name is in use.
    fn publish(&self, file: &File, temp: &str, name: &str) -> Result<bool, DirectoryError> {
        let handle = self.handle()?;
        let named = link(handle, temp, name).or_else(|error| match error {
            // Some file systems have no hard links.
            Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK => {
                move_to_new(handle, temp, name)
            }
            error => Err(error),
        });
        match named {
            Ok(()) => Ok(true),
            // NFS may report this of a link that it has just made, if its first reply was lost.
            Err(Errno::EXIST) => Ok(file.metadata().is_ok_and(|found| found.nlink() > 1)),
            Err(error) => Err(self.failed(name, "make", error)),
        }
    }

    /// The claim with this number, if there is one.
    pub(super) fn claim(&self, number: u64) -> Result<Option<Opened>, DirectoryError> {
        self.open_file(&claim_name(number))
    }

    /// Whether there is a claim with this number.
    pub(super) fn has_claim(&self, number: u64) -> Result<bool, DirectoryError> {
        let name = claim_name(number);
        let found = open::is_there(self.handle()?, &name);
        found.map_err(|error| self.failed(&name, "look for", error))
    }

    /// The number of the highest claim, which is at least `from`; 0 for none. The numbers have no
    /// gap, so a search in growing strides finds it.
    pub(super) fn last_claim(&self, from: u64) -> Result<u64, DirectoryError> {
        let (mut last, mut stride) = (from, 1);
        while self.has_claim(last + stride)? {
            last += stride;
            stride *= 2;
        }
        while stride > 1 {
            stride /= 2;
            if self.has_claim(last + stride)? {
                last += stride;
            }
        }
        Ok(last)
    }

    /// Writes a state that is not in its place yet. `unique` is used by no other call.
    pub(super) fn stage_state(
        &self,
        state: State,
        unique: &str,
        durable: bool,
    ) -> Result<Staged<'_>, DirectoryError> {
        self.stage(STATE, line(state).as_bytes(), unique, durable)
    }

    /// Writes a reason that is not in its place yet, shortened to [`LONGEST_REASON`].
    pub(super) fn stage_reason(
        &self,
        reason: &str,
        unique: &str,
        durable: bool,
    ) -> Result<Staged<'_>, DirectoryError> {
        let reason = shortened(reason, LONGEST_REASON);
        self.stage(REASON, reason.as_bytes(), unique, durable)
    }

    /// Writes a number of tries that is not in its place yet.
    pub(super) fn stage_tries(
        &self,
        tries: u32,
        unique: &str,
        durable: bool,
    ) -> Result<Staged<'_>, DirectoryError> {
        self.stage(TRIES, format!("{tries}\n").as_bytes(), unique, durable)
    }

    /// The number of tries; 0 if none was written.
    pub(super) fn tries(&self) -> Result<u32, DirectoryError> {
        let Some(file) = self.open_file(TRIES)? else {
            return Ok(0);
        };
        let bytes = file.read(LONGEST_NUMBER);
        let bytes = bytes.map_err(|error| self.failed(TRIES, READ, error))?;
        let number = String::from_utf8_lossy(&bytes).trim().parse();
        // What is no number was not written by a job.
        Ok(number.unwrap_or(0))
    }

    /// Removes the number of tries, if there is one.
    pub(super) fn remove_tries(&self) -> Result<(), DirectoryError> {
        self.remove(TRIES)
    }

    /// The reason, if it can be read.
    pub(super) fn reason(&self) -> Option<String> {
        let file = self.open_file(REASON).ok()??;
        let bytes = file.read(LONGEST_REASON).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Removes the reason, if there is one.
    pub(super) fn remove_reason(&self) -> Result<(), DirectoryError> {
        self.remove(REASON)
    }

    /// Flushes the names in the folder to disk.
    pub(super) fn flush(&self) -> Result<(), DirectoryError> {
        let handle = self.handle()?;
        match retry_on_intr(|| rustix::fs::fsync(handle)) {
            // Some file systems do not support this for folders.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(DirectoryError::io(&self.path(), "write to disk", error)),
        }
    }

    /// Makes the folder, unless it exists.
    pub(super) fn make(&self) -> Result<(), DirectoryError> {
        let mode = Mode::from_raw_mode(0o777);
        match rustix::fs::mkdirat(self.root.handle()?, &self.name, mode) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(DirectoryError::io(&self.path(), "make", error)),
        }
    }

    /// Makes the state file as a whole, unless it exists. `unique` is used by no other call.
    pub(super) fn make_state(&self, state: State, unique: &str) -> Result<(), DirectoryError> {
        let temp = temp_name(STATE, unique);
        let file = self.write(&temp, STATE, line(state).as_bytes(), false)?;
        let made = self.publish(&file, &temp, STATE);
        self.remove(&temp)?;
        made.map(drop)
    }

    fn stage(
        &self,
        name: &'static str,
        contents: &[u8],
        unique: &str,
        durable: bool,
    ) -> Result<Staged<'_>, DirectoryError> {
        let temp = temp_name(name, unique);
        self.write(&temp, name, contents, durable)?;
        Ok(Staged {
            folder: self,
            temp,
            name,
        })
    }

    /// Writes a new file `temp`, to be renamed to `name`. Removes it after an error.
    fn write(
        &self,
        temp: &str,
        name: &str,
        contents: &[u8],
        durable: bool,
    ) -> Result<File, DirectoryError> {
        let created = open::to_write_new(self.handle()?, temp);
        let mut file = created.map_err(|error| self.failed(name, "write", error))?;
        let written = file.write_all(contents).and_then(|()| match durable {
            true => file.sync_all(),
            false => Ok(()),
        });
        match written {
            Ok(()) => Ok(file),
            Err(error) => {
                // A file that is left over does no harm.
                let _ = self.remove(temp);
                Err(self.failed(name, "write", error))
            }
        }
    }

    fn remove(&self, name: &str) -> Result<(), DirectoryError> {
        let removed = open::remove(self.handle()?, name);
        removed.map_err(|error| match error {
            Errno::ISDIR => self.not_a_file(name),
            error => self.failed(name, "remove", error),
        })
    }

    /// The file of that name, if there is one.
    fn open_file(&self, name: &str) -> Result<Option<Opened>, DirectoryError> {
        match open::to_read(self.handle()?, name) {
            Ok(file) => Ok(Some(file)),
            Err(Unopened::Failed(Errno::NOENT)) => Ok(None),
            Err(Unopened::NotAFile) => Err(self.not_a_file(name)),
            Err(Unopened::Failed(error)) => Err(self.failed(name, READ, error)),
        }
    }

    fn handle(&self) -> Result<&OwnedFd, DirectoryError> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let opened = open::folder(self.root.handle()?, &self.name);
        let handle = opened.map_err(|error| DirectoryError::io(&self.path(), OPEN, error))?;
        Ok(self.handle.get_or_init(|| handle))
    }

    fn not_a_file(&self, name: &str) -> DirectoryError {
        let path = self.path().join(name);
        DirectoryError::NotAFile { path }
    }

    fn failed(
        &self,
        name: &str,
        action: &'static str,
        error: impl Into<io::Error>,
    ) -> DirectoryError {
        let error = error.into();
        match error.kind() {
            // A missing file in the folder is never an error, so the folder is missing.
            io::ErrorKind::NotFound => DirectoryError::io(&self.path(), action, error),
            _ => DirectoryError::io(&self.path().join(name), action, error),
        }
    }

    /// Whether `error` concerns this task alone: the contents of its folder, or what has its place.
    /// Any other error may concern all tasks, or this process only.
    pub(super) fn is_cause_of(&self, error: &DirectoryError) -> bool {
        match error {
            DirectoryError::NotADirectory { path } => *path == self.path(),
            DirectoryError::Missing { path } => *path == self.path() && self.root.is_there(),
            // One that may not be written may be so for all tasks, and for this process only.
            DirectoryError::Permission { path, action } => {
                [READ, OPEN].contains(action)
                    && path.starts_with(self.path())
                    && self.root.can_be_opened()
            }
            error => error.is_about_contents(),
        }
    }
}

impl Staged<'_> {
    /// Gives the file its name. A reader of that name finds the file before or this one, as a
    /// whole.
    pub(super) fn put(mut self) -> Result<(), DirectoryError> {
        let Staged { folder, temp, name } = &mut self;
        let handle = folder.handle()?;
        retry_on_intr(|| rustix::fs::renameat(handle, &**temp, handle, *name)).map_err(
            |error| match error {
                Errno::ISDIR => folder.not_a_file(name),
                error => folder.failed(name, "replace", error),
            },
        )?;
        temp.clear();
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.temp.is_empty() {
            // A file that is left over does no harm.
            let _ = self.folder.remove(&self.temp);
        }
    }
}

/// The temporary name of the file `name`. It is not a name of a task or of a task's file.
fn temp_name(name: &str, unique: &str) -> String {
    format!(".{name}.{unique}")
}

/// Gives a file a second name, unless that is in use.
pub(super) fn link(folder: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    retry_on_intr(|| rustix::fs::linkat(folder, from, folder, to, AtFlags::empty()))
}

/// Renames a file, unless the new name is in use.
pub(super) fn move_to_new(folder: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    retry_on_intr(|| rustix::fs::renameat_with(folder, from, folder, to, flags))
}

pub(super) fn claim_name(number: u64) -> String {
    format!("claim.{number}")
}

fn line(state: State) -> String {
    format!("{state}\n")
}

/// Reads a state as pshmem does, from the first line without blanks at its end. The line need not be
/// complete if it has a whole word: no state is the beginning of another.
fn parse(path: impl FnOnce() -> PathBuf, contents: &[u8]) -> Result<State, DirectoryError> {
    let end = contents.iter().position(|&byte| byte == b'\n');
    let line = String::from_utf8_lossy(&contents[..end.unwrap_or(contents.len())]);
    let word: Result<State, UnknownWord> = line.trim_end().parse();
    word.map_err(|UnknownWord(found)| {
        let path = path();
        match end {
            None if contents.len() < LONGEST => {
                let found = line.into_owned();
                DirectoryError::HalfWritten { path, found }
            }
            _ => DirectoryError::UnknownState { path, found },
        }
    })
}
