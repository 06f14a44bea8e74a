//! Opens the files of a state directory, into which other users may write, too. All accesses to its
//! files go through this module.
//!
//! No link is followed and no open or read waits (as a FIFO would). Only regular files are read,
//! and only a bounded part of them; only new files are written. The path of the directory itself is
//! the user's own: links in it are followed, once. From then on everything is opened relative to
//! that directory, so that nothing is written into another directory that takes its place later.

use crate::batch::directory::error::DirectoryError;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// The directory with the tasks' folders. It is opened when it is first needed.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    handle: OnceLock<OwnedFd>,
}

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        Root {
            path,
            handle: OnceLock::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn handle(&self) -> Result<&OwnedFd, DirectoryError> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::open(&self.path, flags, Mode::empty()));
        let opened = opened.map_err(|error| DirectoryError::io(&self.path, "open", error))?;
        Ok(self.handle.get_or_init(|| opened))
    }

    /// Whether this process may open it now.
    pub(super) fn can_be_opened(&self) -> bool {
        Root::new(self.path.clone()).handle().is_ok()
    }

    /// Whether it exists, and has not been removed since it was opened.
    pub(super) fn is_there(&self) -> bool {
        let handle = self.handle();
        // A file system without link counts returns 1.
        handle.is_ok_and(|handle| rustix::fs::fstat(handle).is_ok_and(|found| found.st_nlink > 0))
    }
}

/// A regular file to read.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// The time of the last change since 1970.
    pub(super) modified: Duration,
}

/// Why a file was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unopened {
    /// It is a link, a FIFO, a directory or the like.
    NotAFile,
    Failed(Errno),
}

/// Opens the directory `name` in `parent`.
pub(super) fn folder(parent: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| rustix::fs::openat(&parent, name, flags, Mode::empty()));
    opened.map_err(|error| match error {
        // A link, if the system does not report that it is not a directory.
        Errno::LOOP => Errno::NOTDIR,
        error => error,
    })
}

/// Opens the file `name` in `folder` to read it.
pub(super) fn to_read(folder: impl AsFd, name: &str) -> Result<Opened, Unopened> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| rustix::fs::openat(&folder, name, flags, Mode::empty()));
    let opened = opened.map_err(|error| match error {
        // A link or a socket.
        Errno::LOOP | Errno::NXIO => Unopened::NotAFile,
        error => Unopened::Failed(error),
    })?;
    let found = rustix::fs::fstat(&opened).map_err(Unopened::Failed)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(Unopened::NotAFile);
    }
    Ok(Opened {
        file: File::from(opened),
        modified: modified(&found),
    })
}

/// Makes the file `name` in `folder`, which must not exist.
pub(super) fn to_write_new(folder: impl AsFd, name: &str) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    retry_on_intr(|| rustix::fs::openat(&folder, name, flags, mode)).map(File::from)
}

/// Removes the file `name` from `folder`, if it exists.
pub(super) fn remove(folder: impl AsFd, name: &str) -> Result<(), Errno> {
    match retry_on_intr(|| rustix::fs::unlinkat(&folder, name, AtFlags::empty())) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether anything has that name, even a link to nothing.
pub(super) fn is_there(folder: impl AsFd, name: &str) -> Result<bool, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    match retry_on_intr(|| rustix::fs::statat(&folder, name, flags)) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Opened {
    /// Reads the beginning of the file into `room`. Returns the number of bytes. One system call
    /// for a small file.
    pub(super) fn read_into(&self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&self.file).read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// The contents of the file, at most `most` bytes.
    pub(super) fn read(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.file).take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The time of a file's last change since 1970; zero for times before.
fn modified(found: &Stat) -> Duration {
    let seconds = u64::try_from(found.st_mtime).unwrap_or(0);
    Duration::new(seconds, u32::try_from(found.st_mtime_nsec).unwrap_or(0))
}

/// [`modified`] of an open file.
pub(super) fn time(file: &File) -> io::Result<Duration> {
    Ok(modified(&rustix::fs::fstat(file)?))
}
