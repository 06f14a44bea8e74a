//! One job at a time.
//!
//! mpisync's locks are between the ranks of a job. A second job that is started on the same file by mistake would have locks
//! of its own; and of a job that was killed a rank may live on for a moment. So two files beside the results are locked with
//! the operating system's means, which lets go of them when a process ends, however it does: one by a rank of each job, which
//! keeps other jobs from starting, and one by all ranks, which tells when the last of them is gone.

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

/// How long ranks of a job that was killed may need to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// As long as it is there, no other job works on the file.
pub struct Alone {
    _ours: File,
    /// On one rank.
    _first: Option<File>,
}

/// Waits until no other job works on the file, and keeps others out. Collective.
///
/// # Errors
/// Where another job does not end.
pub fn enter(ctrl: &mut WindowController, file: &Path) -> anyhow::Result<Alone> {
    let mut first = None;
    keep_out(ctrl, file, &mut first)?;
    Ok(Alone {
        _ours: be_seen(ctrl, file)?,
        _first: first,
    })
}

/// One rank keeps other jobs out, and waits for what is left of the last one.
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

/// Each rank tells that it is there.
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
            // Not every file system has such locks. There it is left to who starts jobs.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                return Ok(());
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}
