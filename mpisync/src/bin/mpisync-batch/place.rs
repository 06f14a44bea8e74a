//! Which state directory it is, and how it is used.

use crate::output::name_line;
use anyhow::{Result, ensure};
use mpisync::batch::directory::{Directory, Options};
use std::path::PathBuf;
use std::time::Duration;

/// The directory that a command is about.
#[derive(clap::Args)]
pub struct Place {
    /// The state directory, which has a folder for each task
    #[arg(value_name = "DIR")]
    path: PathBuf,
}

/// For commands that have to tell whether a job lives.
#[derive(clap::Args)]
pub struct Patience {
    /// After how long without a heartbeat a job is taken for dead; as in the jobs themselves, which
    /// is 120 if they do not say
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stale_after: Option<Duration>,
}

impl Patience {
    pub fn options(&self) -> Options {
        match self.stale_after {
            Some(time) => Options::default().stale_after(time),
            None => Options::default(),
        }
    }
}

impl Place {
    /// Its own name, for there is not much room beside a bar.
    pub fn name(&self) -> String {
        match self.path.file_name() {
            Some(name) => name_line(&name.to_string_lossy()),
            None => name_line(&self.to_string()),
        }
    }

    pub fn open(&self, options: Options) -> Result<Directory> {
        let directory = Directory::open(&self.path, options)?;
        // Otherwise a wrong directory would look like one in which all is done.
        ensure!(
            !directory.names().is_empty(),
            "{self} has no tasks, which are folders with a file `state`; name the state directory of a batch",
        );
        Ok(directory)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.display().fmt(f)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let positive = time.filter(|time| !time.is_zero());
    positive.ok_or_else(|| "it has to be a number of seconds above 0".to_owned())
}
