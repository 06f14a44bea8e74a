//! `mpisync-batch list`.

use crate::End;
use crate::state_directory::StateDirectory;
use anyhow::Result;
use mpisync::batch::directory::{Directory, Options};
use mpisync::batch::{State, UnknownWord};
use mpisync_cli::output::{Output, name_line, text_line};

/// Prints the names of tasks, one per line
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    directory: StateDirectory,
    /// Only tasks in these states: open, running, done, failed or invalid; a state that cannot be
    /// read is invalid
    #[arg(long, value_name = "STATE,...", value_delimiter = ',', value_parser = state)]
    state: Vec<State>,
    /// Appends a tab and the reason why the task failed, or the problem with its state; line breaks
    /// as \n
    #[arg(long)]
    reasons: bool,
}

fn state(word: &str) -> Result<State, UnknownWord> {
    word.to_uppercase().parse()
}

impl List {
    pub fn run(&self) -> Result<End> {
        let directory = self.directory.open(Options::default())?;
        let mut output = Output::new();
        for (task, name) in directory.names().iter().enumerate() {
            let Some(reason) = self.find(&directory, task) else {
                continue;
            };
            match self.reasons {
                true => output.line(&format!("{}\t{}", name_line(name), text_line(&reason)))?,
                false => output.line(&name_line(name))?,
            }
            if output.is_closed() {
                break;
            }
        }
        output.finish()?;
        Ok(End::Well)
    }

    /// The reason of a task, which may be empty. None if the task is not to be listed.
    fn find(&self, directory: &Directory, task: usize) -> Option<String> {
        if self.state.is_empty() && !self.reasons {
            return Some(String::new());
        }
        let found = match self.reasons {
            true => directory.outcome(task),
            false => directory.state(task).map(|state| (state, None)),
        };
        let (state, reason) = match found {
            Ok((state, reason)) => (state, reason.unwrap_or_default()),
            Err(error) => (State::Invalid, error.to_string()),
        };
        let is_wanted = self.state.is_empty() || self.state.contains(&state);
        is_wanted.then_some(reason)
    }
}
