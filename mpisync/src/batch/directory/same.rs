//! Whether all hosts see the same directory under its name.
//!
//! A network file system may not be mounted on one of them, and `/tmp` is another directory on
//! each. So one rank writes a file with a random name and all others look for it.

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

/// For how long a host may not yet see what another one has made.
const LATE: Duration = Duration::from_secs(2);

/// A file that tells a directory from others of its name; removed on drop.
#[derive(Debug)]
pub(crate) struct Sign {
    root: Arc<Root>,
    word: u64,
}

impl Directory {
    /// Makes the sign. None where nothing may be written, and so no task be run.
    pub(crate) fn sign(&self) -> Result<Option<Sign>, DirectoryError> {
        let root = Arc::clone(&self.shared.root);
        let word = RandomState::new().build_hasher().finish();
        let path = root.path().join(name(word));
        let failed = |error: io::Error| DirectoryError::io(&path, "write", error);
        let made = open::to_write_new(root.handle()?, &name(word));
        let mut file = match made.map_err(|error| failed(error.into())) {
            Ok(file) => file,
            Err(DirectoryError::Permission { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let sign = Sign { root, word };
        file.write_all(text(word).as_bytes()).map_err(failed)?;
        Ok(Some(sign))
    }

    /// Looks whether the sign with this word is here, too.
    pub(crate) fn check_sign(&self, word: u64) -> Result<(), DirectoryError> {
        let start = Instant::now();
        loop {
            let is_late = start.elapsed() >= LATE;
            match self.sees(word) {
                Ok(true) => return Ok(()),
                Ok(false) if is_late => return Err(self.other(None)),
                Err(error) if is_late || !matches!(error, DirectoryError::Missing { .. }) => {
                    return Err(self.other(Some(error)));
                }
                Ok(false) | Err(_) => {}
            }
            // NFS looks again what is in a directory when that is opened.
            let above = self.root().parent().unwrap_or(self.root());
            drop(std::fs::read_dir(above));
            thread::sleep(LATE / 50);
        }
    }

    fn sees(&self, word: u64) -> Result<bool, DirectoryError> {
        match open::to_read(self.shared.root.handle()?, &name(word)) {
            Ok(file) => Ok(file
                .read(64)
                .is_ok_and(|found| found == text(word).as_bytes())),
            Err(Unopened::NotAFile | Unopened::Failed(Errno::NOENT)) => Ok(false),
            Err(Unopened::Failed(error)) => {
                let path = self.root().join(name(word));
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

impl Sign {
    /// What the others have to look for.
    pub(crate) fn word(&self) -> u64 {
        self.word
    }
}

impl Drop for Sign {
    fn drop(&mut self) {
        if let Ok(handle) = self.root.handle() {
            // A sign that is left over is in nobody's way.
            let _ = open::remove(handle, &name(self.word));
        }
    }
}

fn name(word: u64) -> String {
    format!(".same.{word:016x}")
}

fn text(word: u64) -> String {
    format!("{word:016x}\n")
}
