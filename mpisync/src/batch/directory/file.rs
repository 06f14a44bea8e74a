//! The files of one task, and what is done with them.

use super::error::DirectoryError;
use crate::batch::{State, UnknownWord};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The file with a task's state.
pub(super) const STATE: &str = "state";
/// What a state is written into first. pshmem writes it there, too.
const STATE_TEMP: &str = "state.temp";
/// The file that says why a task failed.
const REASON: &str = "reason";
const REASON_TEMP: &str = "reason.temp";
/// As much of a state file as is read; more than any state has.
const LONGEST: usize = 256;

/// The folder of a task. It is opened when it is first needed, which it is not to read the state.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    handle: OnceCell<OwnedFd>,
}

/// A state, and the file that it was read from.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) state: State,
    file: File,
}

impl Folder {
    pub(super) fn new(root: &Path, name: &str) -> Self {
        Folder {
            path: root.join(name),
            handle: OnceCell::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The state; `None` where there is no state file or no folder.
    pub(super) fn state(&self) -> Result<Option<Found>, DirectoryError> {
        let path = self.path.join(STATE);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(DirectoryError::io(&self.path, "open", error));
            }
            Err(error) => return Err(DirectoryError::io(&path, "read", error)),
        };
        let mut buffer = [0; LONGEST];
        let length = loop {
            match file.read(&mut buffer) {
                Ok(length) => break length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(DirectoryError::io(&path, "read", error)),
            }
        };
        let state = parse(&path, &buffer[..length])?;
        Ok(Some(Found { state, file }))
    }

    /// Whether it can be opened.
    pub(super) fn check(&self) -> Result<(), DirectoryError> {
        self.handle().map(|_| ())
    }

    /// Whether there is a state file, or that cannot be told.
    pub(super) fn has_state(&self) -> bool {
        match std::fs::metadata(self.path.join(STATE)) {
            Ok(_) => true,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ),
        }
    }

    /// Makes the claim with this number, whole, or `None` where there is one. `temp` is a name that nobody else uses.
    pub(super) fn create_claim(
        &self,
        number: u64,
        text: &str,
        temp: &str,
    ) -> Result<Option<File>, DirectoryError> {
        let name = claim_name(number);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let opened = self.open_file(temp, flags)?;
        let mut file = opened.map_err(|error| self.failed(&name, "create", error))?;
        let made = match file.write_all(text.as_bytes()) {
            Ok(()) => self.publish(&file, temp, &name),
            Err(error) => Err(self.failed(&name, "write", error)),
        };
        // A file that is left over harms nobody.
        let _ = self.remove(temp);
        Ok(made?.then_some(file))
    }

    /// Gives a file of a temporary name another one; false if there is one of that name.
    fn publish(&self, file: &File, temp: &str, name: &str) -> Result<bool, DirectoryError> {
        let handle = self.handle()?;
        let named = link(handle, temp, name).or_else(|error| match error {
            // There are file systems without hard links.
            Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK => {
                move_to_new(handle, temp, name)
            }
            error => Err(error),
        });
        match named {
            Ok(()) => Ok(true),
            // NFS may say so of a link that it has just made, where its first answer was lost.
            Err(Errno::EXIST) => Ok(file.metadata().is_ok_and(|found| found.nlink() > 1)),
            Err(error) => Err(self.failed(name, "make", error)),
        }
    }

    /// The claim with this number, if there is one.
    pub(super) fn claim(&self, number: u64) -> Result<Option<File>, DirectoryError> {
        let name = claim_name(number);
        match self.open_file(&name, OFlags::RDONLY | OFlags::CLOEXEC)? {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed(&name, "read", error)),
        }
    }

    /// Whether there is a claim with this number.
    pub(super) fn has_claim(&self, number: u64) -> Result<bool, DirectoryError> {
        let name = claim_name(number);
        let handle = self.handle()?;
        match retry_on_intr(|| rustix::fs::statat(handle, &name, AtFlags::empty())) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.failed(&name, "look for", error)),
        }
    }

    /// The highest claim from number `from` on, which is known to be there; 0 is always there and stands for none. There is no
    /// gap below it, so that a search in larger and larger strides finds it.
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

    /// Replaces the state, whole.
    pub(super) fn set_state(&self, state: State, durable: bool) -> Result<(), DirectoryError> {
        self.replace(STATE, STATE_TEMP, line(state).as_bytes(), durable)
    }

    /// Replaces the reason, whole.
    pub(super) fn set_reason(&self, reason: &str, durable: bool) -> Result<(), DirectoryError> {
        self.replace(REASON, REASON_TEMP, reason.as_bytes(), durable)
    }

    /// The reason, as far as it can be read.
    pub(super) fn reason(&self) -> Option<String> {
        let bytes = std::fs::read(self.path.join(REASON)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Removes the reason, if there is one.
    pub(super) fn remove_reason(&self) -> Result<(), DirectoryError> {
        self.remove(REASON)
    }

    /// Has the names in the folder written to disk.
    pub(super) fn flush(&self) -> Result<(), DirectoryError> {
        let handle = self.handle()?;
        match retry_on_intr(|| rustix::fs::fsync(handle)) {
            // Some file systems know no such thing for folders.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(DirectoryError::io(&self.path, "write to disk", error)),
        }
    }

    /// Makes the folder, if it is not there.
    pub(super) fn make(&self) -> Result<(), DirectoryError> {
        match rustix::fs::mkdir(&self.path, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(DirectoryError::io(&self.path, "make", error)),
        }
    }

    /// Makes the state file, whole, unless there is one. `temp` is a name that nobody else uses.
    pub(super) fn make_state(&self, state: State, temp: &str) -> Result<(), DirectoryError> {
        let file = self.write(temp, line(state).as_bytes(), false)?;
        let made = self.publish(&file, temp, STATE);
        self.remove(temp)?;
        made.map(drop)
    }

    /// Replaces a file by another one, so that whoever reads it finds either.
    fn replace(
        &self,
        name: &str,
        temp: &str,
        contents: &[u8],
        durable: bool,
    ) -> Result<(), DirectoryError> {
        self.write(temp, contents, durable)?;
        let handle = self.handle()?;
        retry_on_intr(|| rustix::fs::renameat(handle, temp, handle, name))
            .map_err(|error| self.failed(name, "replace", error))
    }

    fn write(&self, name: &str, contents: &[u8], durable: bool) -> Result<File, DirectoryError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let opened = self.open_file(name, flags)?;
        let mut file = opened.map_err(|error| self.failed(name, "write", error))?;
        let written = file.write_all(contents).and_then(|()| match durable {
            true => file.sync_all(),
            false => Ok(()),
        });
        written.map_err(|error| self.failed(name, "write", error))?;
        Ok(file)
    }

    fn remove(&self, name: &str) -> Result<(), DirectoryError> {
        let handle = self.handle()?;
        match retry_on_intr(|| rustix::fs::unlinkat(handle, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed(name, "remove", error)),
        }
    }

    fn open_file(&self, name: &str, flags: OFlags) -> Result<Result<File, Errno>, DirectoryError> {
        let (handle, mode) = (self.handle()?, Mode::from_raw_mode(0o666));
        let opened = retry_on_intr(|| rustix::fs::openat(handle, name, flags, mode));
        Ok(opened.map(File::from))
    }

    fn handle(&self) -> Result<&OwnedFd, DirectoryError> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::open(&self.path, flags, Mode::empty()));
        let handle = opened.map_err(|error| DirectoryError::io(&self.path, "open", error))?;
        Ok(self.handle.get_or_init(|| handle))
    }

    fn failed(
        &self,
        name: &str,
        action: &'static str,
        error: impl Into<io::Error>,
    ) -> DirectoryError {
        let error = error.into();
        match error.kind() {
            // Names in it are only looked for where that is no error.
            io::ErrorKind::NotFound => DirectoryError::io(&self.path, action, error),
            _ => DirectoryError::io(&self.path.join(name), action, error),
        }
    }
}

impl Found {
    /// When it was written.
    pub(super) fn written(&self, path: &Path) -> Result<Duration, DirectoryError> {
        modified(&self.file).map_err(|error| DirectoryError::io(&path.join(STATE), "read", error))
    }
}

/// Gives a file a name more, unless there is one of that name.
pub(super) fn link(folder: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    retry_on_intr(|| rustix::fs::linkat(folder, from, folder, to, AtFlags::empty()))
}

/// Gives a file another name, unless there is one of that name.
pub(super) fn move_to_new(folder: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    retry_on_intr(|| rustix::fs::renameat_with(folder, from, folder, to, flags))
}

/// When a file was last changed, as time since 1970.
pub(super) fn modified(file: &File) -> io::Result<Duration> {
    let modified = file.metadata()?.modified()?;
    Ok(modified
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default())
}

pub(super) fn claim_name(number: u64) -> String {
    format!("claim.{number}")
}

fn line(state: State) -> String {
    format!("{state}\n")
}

/// Reads a state as pshmem does: the first line counts, without blanks at its end. But there has to be a whole line.
fn parse(path: &Path, contents: &[u8]) -> Result<State, DirectoryError> {
    let path = || path.to_owned();
    let Some(end) = contents.iter().position(|&byte| byte == b'\n') else {
        let found = String::from_utf8_lossy(contents).into_owned();
        return Err(match contents.len() {
            LONGEST.. => DirectoryError::UnknownState {
                path: path(),
                found,
            },
            _ => DirectoryError::HalfWritten {
                path: path(),
                found,
            },
        });
    };
    let line = String::from_utf8_lossy(&contents[..end]);
    let word: Result<State, UnknownWord> = line.trim_end().parse();
    word.map_err(|UnknownWord(found)| DirectoryError::UnknownState {
        path: path(),
        found,
    })
}
