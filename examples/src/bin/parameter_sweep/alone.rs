//! Ensures that one job works on the file at a time.
//!
//! mpisync's locks work between the ranks of a job. A second job that is started on the same file
//! by mistake would have its own locks, and a rank of a job that was killed may live on for a
//! moment. So two files beside the results are locked by the operating system, which releases the
//! locks when a process ends in any way: one rank of each job locks the first file, which keeps
//! other jobs from starting, and all ranks lock the second one, which shows when the last of them
//! has ended.

use std::{
    fs::{self, File, TryLockError},
    io::{ErrorKind, Result},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use mpisync::prelude::*;

use crate::beside;

/// The time that the ranks of a killed job may need to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps other jobs away from the file until it is dropped.
pub struct Alone {
    _ours: File,
    /// On one rank.
    _first: Option<File>,
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
    first: &mut Option<File>,
) -> anyhow::Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    lock(first.insert(job_file(file)?), file)?;
    lock(&ranks_file(file)?, file)
}

/// Each rank shows that it is running.
#[mpisync::collective]
fn be_seen(ctrl: &mut WindowController, file: &Path) -> anyhow::Result<File> {
    let ours = ranks_file(file)?;
    match ours.lock_shared() {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(error.into()),
        _ => Ok(ours),
    }
}

fn job_file(file: &Path) -> Result<File> {
    File::create(beside(file, ".job"))
}

fn ranks_file(file: &Path) -> Result<File> {
    File::create(beside(file, ".ranks"))
}

/// Locks it until it is closed.
fn lock(what: &File, file: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        match what.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => bail!("another job works on {}", file.display()),
            // Not every file system has such locks. There the user has to start one job at a time.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                return Ok(());
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}
