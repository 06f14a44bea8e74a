//! The trace files of a folder.

use crate::job::Job;
use anyhow::{Context, Result};
use mpisync::inspect::trace::{self, Process, TraceError};
use std::fs;
use std::path::{Path, PathBuf};

/// What was found in a folder.
pub struct Found {
    /// The newest job; none if no file could be read.
    pub job: Option<Job>,
    /// How many files are of older jobs.
    pub of_older_jobs: usize,
    /// Why files could not be read.
    pub unreadable: Vec<TraceError>,
}

/// The trace files of a folder, in the order of their names.
///
/// # Errors
/// If the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read the folder {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.extension().is_some_and(|it| it == trace::EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The newest of the jobs that processes are of.
pub fn newest_job(processes: impl Iterator<Item = Result<Process, TraceError>>) -> Found {
    let mut found = Found {
        job: None,
        of_older_jobs: 0,
        unreadable: Vec::new(),
    };
    for process in processes {
        let process = match process {
            Ok(process) => process,
            Err(error) => {
                found.unreadable.push(error);
                continue;
            }
        };
        let age = (process.epoch, process.job);
        match &mut found.job {
            Some(job) if job.id == process.job => job.add(&process),
            Some(job) if (job.epoch, job.id) > age => found.of_older_jobs += 1,
            older => {
                found.of_older_jobs += older.as_ref().map_or(0, |job| job.lanes().len());
                let mut job = Job::new(process.job, process.epoch);
                job.add(&process);
                *older = Some(job);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::process;

    fn of_job(rank: u32, job: u64, epoch: u64) -> Result<Process, TraceError> {
        Ok(Process {
            job,
            epoch,
            ..process(rank, 2)
        })
    }

    #[test]
    fn older_jobs_are_left_out() {
        let reason = "it is empty".to_owned();
        let path = "c".into();
        let processes = [
            of_job(0, 7, 100),
            of_job(0, 8, 200),
            Err(TraceError::NoTrace { path, reason }),
            of_job(1, 7, 100),
            of_job(1, 8, 200),
        ];
        let found = newest_job(processes.into_iter());
        let job = found.job.expect("there are two");
        assert_eq!((job.id, job.lanes().len()), (8, 2));
        assert_eq!(found.of_older_jobs, 2);
        assert_eq!(found.unreadable[0].to_string(), "c: it is empty");
        assert!(newest_job([].into_iter()).job.is_none());
    }
}
