//! `mpisync-batch list`.

use crate::End;
use crate::state_directory::StateDirectory;
use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mpisync::batch::directory::{Directory, Options};
use mpisync::batch::{State, UnknownWord};
use mpisync_cli::output::Output;
use mpisync_cli::text::{name_line, text_line};

/// Prints the names of tasks, one per line
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    directory: StateDirectory,
    /// Only tasks in these states; a state that cannot be read is invalid
    #[arg(long, value_name = "STATE,...", value_delimiter = ',', ignore_case = true, value_parser = state())]
    state: Vec<State>,
    /// Appends a tab and the reason why the task failed, or the problem with its state; line breaks
    /// as \n
    #[arg(long)]
    reasons: bool,
}

fn state() -> impl TypedValueParser<Value = State> {
    let words = ["open", "running", "done", "failed", "invalid"];
    let state = |word: String| -> Result<State, UnknownWord> { word.to_uppercase().parse() };
    PossibleValuesParser::new(words).try_map(state)
}

impl List {
    pub fn run(&self) -> Result<End> {
        let directory = self.directory.open(Options::default())?;
        let mut output = Output::new();
        for (task, name) in directory.names().iter().enumerate() {
            let Some(reason) = self.find(&directory, task) else {
                continue;
            };
            let line = match self.reasons {
                true => format!("{}\t{}\n", name_line(name), text_line(&reason)),
                false => name_line(name) + "\n",
            };
            output.bytes(line.as_bytes())?;
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
            Err(error) => (State::Invalid, self.directory.in_words(&error)),
        };
        let is_wanted = self.state.is_empty() || self.state.contains(&state);
        is_wanted.then_some(reason)
    }
}
