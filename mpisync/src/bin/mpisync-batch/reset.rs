//! `mpisync-batch reset`.

use crate::End;
use crate::output::{Output, complain, name_line};
use crate::place::{Patience, Place};
use anyhow::{Result, bail};
use mpisync::batch::State;
use mpisync::batch::directory::{Directory, DirectoryError};

/// Sets tasks to OPEN, so that they are run again
///
/// A task that a living job runs is left alone, and the exit code is 3 then, unless --force is
/// given. Jobs that make no claims cannot be told to live: do not set back what pshmem runs. A job
/// that is under way may not see it before it is started again.
#[derive(clap::Args)]
pub struct Reset {
    #[command(flatten)]
    place: Place,
    /// These tasks, whatever their state is
    #[arg(value_name = "NAME", required_unless_present_any = ["failed", "running", "done", "invalid", "all"])]
    names: Vec<String>,
    /// All that have failed
    #[arg(long)]
    failed: bool,
    /// All that run, for all that their state says, and that no living job has
    #[arg(long)]
    running: bool,
    /// All that are done
    #[arg(long)]
    done: bool,
    /// All that are invalid, and those whose state cannot be read
    #[arg(long)]
    invalid: bool,
    /// All
    #[arg(long)]
    all: bool,
    /// Also those that a job has which looks alive, where it is known to be gone; it loses them if
    /// it lives for all that
    #[arg(long)]
    force: bool,
    /// Prints their names, and changes nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    spin_budget: Patience,
}

impl Reset {
    pub fn run(&self) -> Result<End> {
        let directory = self.place.open(self.spin_budget.options())?;
        let is_named = self.named(&directory)?;
        let mut output = Output::new();
        let (mut set, mut left) = (0, 0);
        for (task, is_named) in is_named.into_iter().enumerate() {
            if !is_named && !self.chooses_any() {
                continue;
            }
            // As in a status: what cannot be read is invalid.
            let state = directory.state(task).unwrap_or(State::Invalid);
            if state == State::Open || !(is_named || self.chooses(state)) {
                continue;
            }
            let name = name_line(&directory.names()[task]);
            match self.open(&directory, task, is_named) {
                // A job has run it meanwhile.
                Ok(false) => {}
                Ok(true) => {
                    set += 1;
                    if self.dry_run {
                        output.line(&name)?;
                    }
                }
                Err(error) => {
                    left += 1;
                    complain(&format!("{name}: {error}"));
                }
            }
        }
        let what = match self.dry_run {
            true => "would be set",
            false => "set",
        };
        output.line(&format!("{set} {what} to OPEN, {left} left alone"))?;
        output.finish()?;
        Ok(match left {
            0 => End::Well,
            _ => End::Trouble,
        })
    }

    /// Which tasks were named. Nothing is changed if one of them is none.
    fn named(&self, directory: &Directory) -> Result<Vec<bool>> {
        let names = directory.names();
        let mut is_named = vec![false; names.len()];
        for name in &self.names {
            // They are in this order.
            match names.binary_search(name) {
                Ok(task) => is_named[task] = true,
                Err(_) => bail!(
                    "there is no task {name:?} in {}; `mpisync-batch list` has their names",
                    self.place
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

    /// Sets a task back, if it still is what was chosen, or looks whether that would do; whether it
    /// does.
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
