//! `mpisync-batch reset`.

use crate::End;
use crate::state_directory::{StaleAfter, StateDirectory};
use anyhow::{Result, bail};
use clap::ArgGroup;
use mpisync::batch::State;
use mpisync::batch::directory::{Directory, DirectoryError};
use mpisync_cli::line::{Line, PLAIN, TITLE};
use mpisync_cli::output::{Output, note};
use mpisync_cli::text::name_line;

/// The names follow the directory, which clap does not show.
const USAGE: &str =
    "mpisync-batch reset [OPTIONS] <DIR> <NAME...|--failed|--running|--done|--invalid|--all>";

/// Sets tasks to OPEN, so that they run again
///
/// Does not change tasks that a living job runs, unless --force is given; the exit code is 1 then.
/// Jobs that make no claims are not detected: do not reset tasks that pshmem runs. A running job
/// may not notice the change before it is started again.
#[derive(clap::Args)]
#[command(group(ArgGroup::new("tasks").required(true).multiple(true)))]
#[command(override_usage = USAGE)]
pub struct Reset {
    #[command(flatten)]
    directory: StateDirectory,
    /// These tasks, in any state
    #[arg(value_name = "NAME", group = "tasks")]
    names: Vec<String>,
    /// All failed tasks
    #[arg(long, group = "tasks")]
    failed: bool,
    /// All tasks whose state is RUNNING and that no living job runs
    #[arg(long, group = "tasks")]
    running: bool,
    /// All tasks that are done
    #[arg(long, group = "tasks")]
    done: bool,
    /// All invalid tasks, and those whose state cannot be read
    #[arg(long, group = "tasks")]
    invalid: bool,
    /// All tasks
    #[arg(long, group = "tasks")]
    all: bool,
    /// Also tasks of a job that seems to be alive, if you know that it is gone; a job that is alive
    /// loses them
    #[arg(long)]
    force: bool,
    /// Prints the names of the tasks, and changes nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    stale_after: StaleAfter,
}

impl Reset {
    pub fn run(&self) -> Result<End> {
        let directory = self.directory.open(self.stale_after.options())?;
        let is_named = self.named(&directory)?;
        let mut output = Output::new();
        let (mut set, mut left) = (0, 0);
        for (task, is_named) in is_named.into_iter().enumerate() {
            if !is_named && !self.chooses_any() {
                continue;
            }
            // As in `status`: a state that cannot be read is invalid.
            let state = directory.state(task).unwrap_or(State::Invalid);
            if state == State::Open || !(is_named || self.chooses(state)) {
                continue;
            }
            let name = name_line(&directory.names()[task]);
            match self.open(&directory, task, is_named) {
                // A job has run the task meanwhile.
                Ok(false) => {}
                Ok(true) => {
                    set += 1;
                    if self.dry_run {
                        output.line(&Line::from(&name))?;
                    }
                }
                Err(error) => {
                    left += 1;
                    let error = self.directory.in_words(&error);
                    note(
                        &Line::new()
                            .with(TITLE, &name)
                            .with(PLAIN, format!(": {error}")),
                    );
                }
            }
        }
        let what = match self.dry_run {
            true => "would be set",
            false => "set",
        };
        output.line(&Line::from(format!(
            "{set} {what} to OPEN, {left} left alone"
        )))?;
        output.finish()?;
        Ok(match left {
            0 => End::Well,
            _ => End::Trouble,
        })
    }

    /// For each task, whether it was named. Fails if a name is not that of a task; nothing is
    /// changed then.
    fn named(&self, directory: &Directory) -> Result<Vec<bool>> {
        let names = directory.names();
        let mut is_named = vec![false; names.len()];
        for name in &self.names {
            // The names are sorted.
            match names.binary_search(name) {
                Ok(task) => is_named[task] = true,
                Err(_) => bail!(
                    "no task '{}' in '{}': `mpisync-batch list` prints the names of all",
                    name_line(name),
                    self.directory
                ),
            }
        }
        Ok(is_named)
    }

    fn chooses_any(&self) -> bool {
        self.failed || self.running || self.done || self.invalid || self.all
    }

    fn chooses(&self, state: State) -> bool {
        self.all
            || match state {
                State::Open => false,
                State::Running => self.running,
                State::Done => self.done,
                State::Failed => self.failed,
                State::Invalid => self.invalid,
            }
    }

    /// Opens a task if its state is still a chosen one; in a dry run, checks whether that is
    /// possible. Returns whether the task was, or would be, opened.
    fn open(
        &self,
        directory: &Directory,
        task: usize,
        is_named: bool,
    ) -> Result<bool, DirectoryError> {
        if !self.dry_run {
            let may = |state| is_named || self.chooses(state);
            return match self.force {
                true => directory.force(task, State::Open, may),
                false => directory.set_if(task, State::Open, may),
            };
        }
        if self.force {
            return Ok(true);
        }
        match directory.claimant(task)? {
            Some(by) => {
                let path = directory.root().join(&directory.names()[task]);
                Err(DirectoryError::Taken { path, by })
            }
            None => Ok(true),
        }
    }
}
