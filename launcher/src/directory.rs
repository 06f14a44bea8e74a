//! The directory of a job.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A temporary directory for a job, which is removed with everything in it when this is dropped. Its path differs from
/// those of all other jobs, so that it [identifies](crate::processes::naming) the job's processes.
#[derive(Debug)]
pub struct JobDirectory(PathBuf);

impl JobDirectory {
    /// Makes a directory whose name begins with `prefix`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(prefix: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{}-{number}", process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for JobDirectory {
    fn drop(&mut self) {
        // A leftover directory does no harm, and a panic here would hide that of the test.
        let _ = fs::remove_dir_all(&self.0);
    }
}
