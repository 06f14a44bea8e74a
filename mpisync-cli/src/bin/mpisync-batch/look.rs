//! A snapshot of a state directory.

use mpisync::batch::directory::{Directory, DirectoryError};
use mpisync::batch::{State, Summary};

/// The state of all tasks. Each was read once.
#[derive(Default)]
pub struct Look {
    pub summary: Summary,
    /// The tasks that are running, failed, and invalid, in the order of their names.
    pub running: Vec<usize>,
    pub failed: Vec<usize>,
    /// With the problem with the state; none if the state itself says that the task is invalid.
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

    /// The tasks that failed last, at most `most` of them, the latest first.
    pub fn failed_last(&self, directory: &Directory, most: usize) -> Vec<usize> {
        // If its time cannot be read, the task is changing to another state.
        let time = |&task: &usize| Some((directory.changed(task).ok()?, task));
        let mut failed: Vec<_> = self.failed.iter().filter_map(time).collect();
        failed.sort_unstable_by(|one, other| other.cmp(one));
        failed.truncate(most);
        failed.into_iter().map(|(_, task)| task).collect()
    }
}
