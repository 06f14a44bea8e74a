//! A snapshot of a state directory.

use mpisync::batch::directory::{Directory, DirectoryError};
use mpisync::batch::{State, Summary};
use std::time::{Duration, SystemTime};

/// The state of a task.
pub struct Seen {
    pub state: State,
    /// When it was written; unknown if there is no state that can be read.
    pub since: Option<SystemTime>,
    /// Why the task is invalid, unless the state itself says so.
    pub problem: Option<Box<DirectoryError>>,
}

/// The state of all tasks. Each was read once.
pub struct Look {
    pub time: SystemTime,
    pub summary: Summary,
    /// In the order of the tasks.
    pub tasks: Vec<Seen>,
}

impl Look {
    pub fn at(directory: &Directory) -> Self {
        let mut summary = Summary::default();
        let tasks = (0..directory.names().len()).map(|task| {
            let seen = match directory.state_since(task) {
                Ok((state, since)) => Seen {
                    state,
                    since,
                    problem: None,
                },
                Err(error) => Seen {
                    state: State::Invalid,
                    since: None,
                    problem: Some(Box::new(error)),
                },
            };
            summary.count(seen.state);
            seen
        });
        let tasks = tasks.collect();
        Look {
            // After the files were read: no state is of later.
            time: SystemTime::now(),
            summary,
            tasks,
        }
    }

    /// The tasks in a state, in the order of their names.
    pub fn tasks_in(&self, state: State) -> impl Iterator<Item = usize> {
        let tasks = self.tasks.iter().enumerate();
        tasks.filter_map(move |(task, seen)| (seen.state == state).then_some(task))
    }

    /// The tasks that failed last, at most `most` of them, the latest first.
    pub fn failed_last(&self, most: usize) -> Vec<usize> {
        let mut failed: Vec<usize> = self.tasks_in(State::Failed).collect();
        failed.sort_unstable_by_key(|task| std::cmp::Reverse((self.tasks[*task].since, *task)));
        failed.truncate(most);
        failed
    }

    /// How long a task has been in its state. The clock of the file system may differ from that of
    /// this host.
    pub fn age(&self, task: usize) -> Option<Duration> {
        let since = self.tasks[task].since?;
        Some(self.time.duration_since(since).unwrap_or_default())
    }
}
