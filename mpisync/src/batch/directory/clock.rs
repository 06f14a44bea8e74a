//! The time of the file system.
//!
//! Heartbeats are modification times of files, which come from the file server or, on some file
//! systems, from the host that changes the file. The clock of this host may differ from both. So a
//! job changes a file of its own and reads the modification time.

use crate::batch::directory::claimant::Owner;
use crate::batch::directory::error::DirectoryError;
use crate::batch::directory::heartbeat::touch;
use crate::batch::directory::open;
use crate::batch::directory::open::Root;
use crate::batch::directory::step;
use crate::shm::lock;
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Option<Set>>);

/// A clock that has been set.
#[derive(Debug)]
struct Set {
    source: Source,
    /// The time that was read, and an instant after it, so that the clock is never ahead.
    time: Duration,
    at: Instant,
}

#[derive(Debug)]
enum Source {
    File {
        file: File,
        root: Arc<Root>,
        name: String,
    },
    /// The clock of this host, if nothing can be written. Then nothing can be claimed either.
    System,
}

impl Clock {
    /// The time since 1970, or a little less. Reads the file system's time again if the last
    /// reading is older than `recent`.
    pub(super) fn now(
        &self,
        root: &Arc<Root>,
        owner: &Owner,
        recent: Duration,
    ) -> Result<Duration, DirectoryError> {
        let mut set = lock(&self.0);
        if let Some(set) = &*set {
            let since = set.at.elapsed();
            if since < recent {
                return Ok(set.time + since);
            }
        }
        let source = match set.take() {
            Some(set) => set.source,
            None => Source::open(root, owner)?,
        };
        step("the clock is there");
        let time = source.read()?;
        let at = Instant::now();
        *set = Some(Set { source, time, at });
        Ok(time)
    }
}

impl Source {
    fn open(root: &Arc<Root>, owner: &Owner) -> Result<Self, DirectoryError> {
        let name = format!(".clock.{}", owner.unique_name());
        let made = open::to_write_new(root.handle()?, &name);
        match made.map_err(|error| DirectoryError::io(&root.path().join(&name), "write", error)) {
            Ok(file) => Ok(Source::File {
                file,
                root: Arc::clone(root),
                name,
            }),
            Err(DirectoryError::Permission { .. }) => Ok(Source::System),
            Err(error) => Err(error),
        }
    }

    fn read(&self) -> Result<Duration, DirectoryError> {
        match self {
            Source::File { file, root, name } => touch(file)
                .and_then(|()| open::time(file))
                .map_err(|error| {
                    DirectoryError::io(&root.path().join(name), "read the time of", error)
                }),
            Source::System => Ok(SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Source::File { root, name, .. } = self
            && let Ok(handle) = root.handle()
        {
            // A clock that is left over does no harm.
            let _ = open::remove(handle, name);
        }
    }
}
