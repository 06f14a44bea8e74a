//! Ensures that one job works on the file at a time.
//!
//! mpisync's locks work between the ranks of a job. A second job that is started on the same file
//! by mistake would have its own locks, and a rank of a job that was killed may live on for a
//! moment. So two files beside the results are locked by the operating system, which releases the
//! locks when a process ends in any way: one rank of each job locks the first file, which keeps
//! other jobs from starting, and all ranks lock the second one, which shows when the last of them
//! has ended.

use std::{
    fs::{self, File},
    io::Result,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use mpisync::prelude::*;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::beside;

/// The time that the ranks of a killed job may need to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Not every file system has such locks. There the user has to start one job at a time.
const NO_LOCKS: Errno = Errno::EOPNOTSUPP;
const NO_CALL: Errno = Errno::ENOSYS;

/// Keeps other jobs away from the file until it is dropped.
pub struct Alone {
    _ours: Option<Flock<File>>,
    /// On one rank.
    _first: Option<Flock<File>>,
}

/// Waits until no other job works on the file, and keeps others out. Collective.
///
/// # Errors
/// If another job does not end.
pub fn enter(ctrl: &mut WindowController, file: &Path) -> anyhow::Result<Alone> {
    let mut first = None;
    keep_out(ctrl, file, &mut first)?;
    Ok(Alone {
        _ours: be_seen(ctrl, file)?,
        _first: first,
    })
}

/// One rank keeps other jobs out, and waits until the last one has ended completely.
#[mpisync::single_write]
fn keep_out(
    ctrl: &mut WindowController,
    file: &Path,
    first: &mut Option<Flock<File>>,
) -> anyhow::Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    *first = lock(job_file(file)?, file)?;
    lock(ranks_file(file)?, file)?;
    Ok(())
}

/// Each rank shows that it is running.
#[mpisync::collective]
fn be_seen(ctrl: &mut WindowController, file: &Path) -> anyhow::Result<Option<Flock<File>>> {
    match Flock::lock(ranks_file(file)?, FlockArg::LockShared) {
        Ok(ours) => Ok(Some(ours)),
        Err((_, NO_LOCKS | NO_CALL)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

fn job_file(file: &Path) -> Result<File> {
    File::create(beside(file, ".job"))
}

fn ranks_file(file: &Path) -> Result<File> {
    File::create(beside(file, ".ranks"))
}

/// Locks it until the lock is dropped. None where the file system has no such locks.
fn lock(mut what: File, file: &Path) -> anyhow::Result<Option<Flock<File>>> {
    let start = Instant::now();
    loop {
        match Flock::lock(what, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(Some(locked)),
            Err((again, Errno::EWOULDBLOCK)) if start.elapsed() < PATIENCE => {
                what = again;
                thread::sleep(Duration::from_millis(10));
            }
            Err((_, Errno::EWOULDBLOCK)) => bail!("another job works on {}", file.display()),
            Err((_, NO_LOCKS | NO_CALL)) => return Ok(None),
            Err((_, error)) => return Err(error.into()),
        }
    }
}
