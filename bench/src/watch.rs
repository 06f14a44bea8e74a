//! Detects subjects that hang: each step of a subject has a limit, after which the job ends and
//! leaves a record, by which the next job continues without that subject.
//!
//! A rank that waits inside MPI cannot be interrupted, so the job has to end. `cargo xtask bench`
//! names the file for the record and starts the job again.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::report::{Outcome, read_rounds, write_rounds};

/// The limit for a step of a subject (its creation, a round, its closing), if its case does not
/// take longer: a hundred times the expected duration.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The environment variable that names the file for the record.
const FILE: &str = "XTASK_BENCH_RECORD";

/// The outcomes of earlier jobs of this benchmark.
pub struct Record {
    file: Option<PathBuf>,
    outcomes: Vec<Outcome>,
}

impl Record {
    /// The record that the environment names, the same on all ranks; empty if none is named.
    pub fn open() -> Self {
        let file = env::var_os(FILE).map(PathBuf::from);
        // The file does not exist before the first case is over.
        let outcomes = file.as_deref().and_then(|file| read_rounds(file).ok());
        Self {
            file,
            outcomes: outcomes.unwrap_or_default(),
        }
    }

    /// The known outcomes of a case.
    pub fn of(&self, case: &str) -> Vec<Outcome> {
        let mut known = self.outcomes.clone();
        known.retain(|outcome| outcome.case == case);
        known
    }

    /// Adds outcomes of a case, or of a subject in it.
    pub fn add(&mut self, outcomes: &[Outcome]) {
        self.outcomes.extend_from_slice(outcomes);
        if let Some(file) = &self.file
            && let Err(error) = self.replace(file)
        {
            eprintln!("cannot write {}: {error:#}", file.display());
        }
    }

    /// Replaces the record. Other ranks may be reading it: they see the old or the new one, which
    /// agree on the cases that are not over.
    fn replace(&self, file: &Path) -> anyhow::Result<()> {
        let new = file.with_extension("new");
        write_rounds(&new, &self.outcomes)?;
        Ok(fs::rename(new, file)?)
    }
}

/// Ends the job when a subject hangs.
pub struct Watch {
    steps: Sender<Option<String>>,
}

impl Watch {
    /// Watches the subjects of a case on one rank: all ranks take each step together.
    pub fn new(case: String, limit: Duration) -> Self {
        let (steps, begun) = mpsc::channel::<Option<String>>();
        thread::spawn(move || {
            while let Ok(step) = begun.recv() {
                // Until the end of the step this thread sleeps, so it does not disturb the
                // measurement.
                if let Some(subject) = step
                    && begun.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)
                {
                    give_up(case, subject, limit);
                }
            }
        });
        Self { steps }
    }

    /// Runs a step of a subject.
    pub fn step<R>(watch: Option<&Self>, subject: &str, step: impl FnOnce() -> R) -> R {
        let tell = |news| {
            if let Some(watch) = watch {
                watch.steps.send(news).expect("the watch is awake");
            }
        };
        tell(Some(subject.to_owned()));
        let outcome = step();
        tell(None);
        outcome
    }
}

/// Records that a subject hangs, and ends this process and with it the job.
fn give_up(case: String, subject: String, limit: Duration) -> ! {
    eprintln!("{subject} in {case}: no end in {} s", limit.as_secs());
    Record::open().add(&[Outcome {
        case,
        subject,
        rounds: Vec::new(),
        no_end_in: Some(limit.as_secs()),
    }]);
    // SAFETY: ends the process without MPI's exit handlers, which would wait for the ranks that
    // hang.
    unsafe { libc::_exit(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_the_next_job_what_is_known_of_a_case() {
        let name = format!("mpisync-record-{}.json", std::process::id());
        let file = env::temp_dir().join(name);
        let open = || Record {
            file: Some(file.clone()),
            outcomes: read_rounds(&file).unwrap_or_default(),
        };
        let outcome = |case: &str, no_end_in| Outcome {
            case: case.into(),
            subject: "it".into(),
            rounds: Vec::new(),
            no_end_in,
        };
        open().add(&[outcome("first", None)]);
        open().add(&[outcome("second", Some(20))]);
        assert_eq!(open().of("first").len(), 1);
        assert_eq!(open().of("second")[0].no_end_in, Some(20));
        assert!(open().of("third").is_empty());
        fs::remove_file(&file).unwrap();
    }
}
