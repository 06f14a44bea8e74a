//! One look at a directory.

use mpisync::batch::directory::{Directory, DirectoryError};
use mpisync::batch::{State, Summary};

/// What was found. Each state was read once.
#[derive(Default)]
pub struct Look {
    pub summary: Summary,
    /// The tasks that run, have failed, and are invalid, in the order of their names.
    pub running: Vec<usize>,
    pub failed: Vec<usize>,
    /// With what is wrong with the state, where it does not just say so.
    pub invalid: Vec<(usize, Option<DirectoryError>)>,
}

impl Look {
    pub fn at(directory: &Directory) -> Self {
        let mut look = Look::default();
        for task in 0..directory.names().len() {
            let (state, problem) = match directory.state(task) {
                Ok(state) => (state, None),
                Err(error) => (State::Invalid, Some(error)),
            };
            look.summary.count(state);
            match state {
                State::Running => look.running.push(task),
                State::Failed => look.failed.push(task),
                State::Invalid => look.invalid.push((task, problem)),
                State::Open | State::Done => {}
            }
        }
        look
    }

    /// Those that have failed last, of which there are `most` at most, the very last one first.
    pub fn failed_last(&self, directory: &Directory, most: usize) -> Vec<usize> {
        // One whose time cannot be read is on its way to another state.
        let time = |&task: &usize| Some((directory.changed(task).ok()?, task));
        let mut failed: Vec<_> = self.failed.iter().filter_map(time).collect();
        failed.sort_unstable_by(|one, other| other.cmp(one));
        failed.truncate(most);
        failed.into_iter().map(|(_, task)| task).collect()
    }
}
