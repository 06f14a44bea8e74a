//! The arguments that select a state directory.

use crate::trouble::in_words;
use anyhow::{Result, anyhow, ensure};
use mpisync::batch::directory::{Directory, DirectoryError, Options};
use mpisync_cli::text::name_line;
use std::path::PathBuf;
use std::time::Duration;

/// The state directory of a command.
#[derive(clap::Args)]
pub struct StateDirectory {
    /// The state directory, which has a folder for each task
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    path: PathBuf,
}

/// For commands that determine whether a job is alive.
#[derive(clap::Args)]
pub struct StaleAfter {
    /// The time without a heartbeat after which a job is taken for dead, as configured in the jobs
    /// [default: 120]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stale_after: Option<Duration>,
}

impl StaleAfter {
    pub fn options(&self) -> Options {
        match self.stale_after {
            Some(time) => Options::default().stale_after(time),
            None => Options::default(),
        }
    }
}

impl StateDirectory {
    /// The last part of the path, for the narrow space beside a progress bar.
    pub fn name(&self) -> String {
        match self.path.file_name() {
            Some(name) => name_line(&name.to_string_lossy()),
            None => self.to_string(),
        }
    }

    pub fn open(&self, options: Options) -> Result<Directory> {
        let directory =
            Directory::open(&self.path, options).map_err(|error| anyhow!(self.in_words(&error)))?;
        // Otherwise a wrong directory would look as if all tasks were done.
        ensure!(
            !directory.names().is_empty(),
            "'{self}' has no tasks, which are folders with a file `state`: give the state directory of a batch",
        );
        Ok(directory)
    }

    /// An error of this directory, for the user of the command line.
    pub fn in_words(&self, error: &DirectoryError) -> String {
        in_words(error, &self.path)
    }
}

impl std::fmt::Display for StateDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&name_line(&self.path.to_string_lossy()))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let least = Options::LEAST_STALE_AFTER;
    let long = time.filter(|time| *time >= least);
    long.ok_or_else(|| format!("give a number of seconds from {} on", least.as_secs_f64()))
}
