//! Checks that all hosts see the same directory under its name.
//!
//! A network file system may not be mounted on one of them, and `/tmp` is another directory on
//! each. So one rank writes a file with a random name, the marker, and all others look for it.

use crate::batch::directory::claimant::Owner;
use crate::batch::directory::error::DirectoryError;
use crate::batch::directory::open::{Root, Unopened};
use crate::batch::directory::{Directory, open};
use rustix::io::Errno;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The longest time until a host sees a file that another host has made.
const LATE: Duration = Duration::from_secs(2);

/// A file by which ranks recognize a directory. Removed on drop.
#[derive(Debug)]
pub(crate) struct Marker {
    root: Arc<Root>,
    number: u64,
}

impl Directory {
    /// Makes the marker. `None` if this user may not write, and so cannot run tasks.
    pub(crate) fn mark(&self) -> Result<Option<Marker>, DirectoryError> {
        let root = Arc::clone(&self.shared.root);
        let number = RandomState::new().build_hasher().finish();
        let path = root.path().join(name(number));
        let failed = |error: io::Error| DirectoryError::io(&path, "write", error);
        let made = open::to_write_new(root.handle()?, &name(number));
        let mut file = match made.map_err(|error| failed(error.into())) {
            Ok(file) => file,
            Err(DirectoryError::Permission { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let marker = Marker { root, number };
        file.write_all(text(number).as_bytes()).map_err(failed)?;
        Ok(Some(marker))
    }

    /// Checks that the marker with this number is here, too.
    pub(crate) fn check_marker(&self, number: u64) -> Result<(), DirectoryError> {
        let start = Instant::now();
        loop {
            let is_late = start.elapsed() >= LATE;
            match self.sees(number) {
                Ok(true) => return Ok(()),
                Ok(false) if is_late => return Err(self.other(None)),
                Err(error) if is_late || !matches!(error, DirectoryError::Missing { .. }) => {
                    return Err(self.other(Some(error)));
                }
                Ok(false) | Err(_) => {}
            }
            // NFS updates its view of a directory when that is opened.
            let above = self.root().parent().unwrap_or(self.root());
            drop(std::fs::read_dir(above));
            thread::sleep(LATE / 50);
        }
    }

    fn sees(&self, number: u64) -> Result<bool, DirectoryError> {
        match open::to_read(self.shared.root.handle()?, &name(number)) {
            Ok(file) => Ok(file
                .read(64)
                .is_ok_and(|found| found == text(number).as_bytes())),
            Err(Unopened::NotAFile | Unopened::Failed(Errno::NOENT)) => Ok(false),
            Err(Unopened::Failed(error)) => {
                let path = self.root().join(name(number));
                Err(DirectoryError::io(&path, "read", error))
            }
        }
    }

    fn other(&self, found: Option<DirectoryError>) -> DirectoryError {
        DirectoryError::OtherDirectory {
            path: self.root().to_owned(),
            host: Owner::this().host,
            found: found.map(Box::new),
        }
    }
}

impl Marker {
    /// The name and number that the others look for.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        if let Ok(handle) = self.root.handle() {
            // A marker that is left over does no harm.
            let _ = open::remove(handle, &name(self.number));
        }
    }
}

fn name(number: u64) -> String {
    format!(".same.{number:016x}")
}

fn text(number: u64) -> String {
    format!("{number:016x}\n")
}
