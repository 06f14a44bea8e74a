//! What time it is for the file system.
//!
//! Heartbeats are times of files, and these come from the file server or, on some file systems, from the host that changes the
//! file. This host's own clock may be off from both. So a job changes a file of its own and looks what time that got.

use super::claimant::Owner;
use super::error::DirectoryError;
use super::file::modified;
use super::heartbeat::touch;
use crate::memory::lock;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Option<Set>>);

/// A clock that has been set.
#[derive(Debug)]
struct Set {
    source: Source,
    /// What time it was, and when that was.
    time: Duration,
    at: Instant,
}

#[derive(Debug)]
enum Source {
    File(File, PathBuf),
    /// This host's clock, where nothing can be written. Nothing can be claimed there either.
    System,
}

impl Clock {
    /// The time since 1970, by a look at the clock that is not older than `recent`.
    pub(super) fn now(
        &self,
        root: &Path,
        owner: &Owner,
        recent: Duration,
    ) -> Result<Duration, DirectoryError> {
        let mut set = lock(&self.0);
        let at = Instant::now();
        if let Some(set) = &*set {
            let since = at - set.at;
            if since < recent {
                return Ok(set.time + since);
            }
        }
        let source = match set.take() {
            Some(set) => set.source,
            None => Source::open(root, owner)?,
        };
        let time = source.read()?;
        *set = Some(Set { source, time, at });
        Ok(time)
    }
}

impl Source {
    fn open(root: &Path, owner: &Owner) -> Result<Self, DirectoryError> {
        let path = root.join(format!(".clock.{}", owner.unique_name()));
        match File::create(&path) {
            Ok(file) => Ok(Source::File(file, path)),
            Err(error) => match DirectoryError::io(&path, "write", error) {
                DirectoryError::Permission { .. } => Ok(Source::System),
                error => Err(error),
            },
        }
    }

    fn read(&self) -> Result<Duration, DirectoryError> {
        match self {
            Source::File(file, path) => touch(file)
                .and_then(|()| modified(file))
                .map_err(|error| DirectoryError::io(path, "read the time of", error)),
            Source::System => Ok(SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Source::File(_, path) = self {
            // A clock that is left over is in nobody's way.
            let _ = fs::remove_file(path);
        }
    }
}
