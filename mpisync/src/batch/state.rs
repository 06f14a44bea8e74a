//! The state of a task, and the counts of all tasks.

use crate::batch::BatchError;
use crate::batch::table::Counts;
use crate::batch::table::layout::TaskStatus;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The state of a task. As text it is one word in capitals, as in the task's file.
///
/// ```
/// use mpisync::batch::State;
///
/// assert_eq!("DONE".parse(), Ok(State::Done));
/// assert_eq!(State::Running.to_string(), "RUNNING");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// It has not begun.
    Open,
    /// A job runs it, or died while it ran it.
    Running,
    /// It has ended without an error.
    Done,
    /// It has ended with an error.
    Failed,
    /// It cannot be run.
    Invalid,
}

impl State {
    pub(super) const ALL: [State; 5] = [
        State::Open,
        State::Running,
        State::Done,
        State::Failed,
        State::Invalid,
    ];

    /// Its name in a file.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Open => "OPEN",
            State::Running => "RUNNING",
            State::Done => "DONE",
            State::Failed => "FAILED",
            State::Invalid => "INVALID",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A word that names no state.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no state of a task; the states are OPEN, RUNNING, DONE, FAILED and INVALID")]
pub struct UnknownWord(pub String);

impl FromStr for State {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = State::ALL.into_iter().find(|state| state.word() == word);
        found.ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

/// The number of tasks in each state.
///
/// ```
/// use mpisync::batch::{State, Summary};
///
/// let mut summary = Summary::default();
/// for state in [State::Done, State::Done, State::Open] {
///     summary.count(state);
/// }
/// assert_eq!(summary.to_string(), "2 done, 0 failed, 0 running, 1 open");
/// assert!(!summary.is_over());
/// ```
#[must_use = "tasks may have failed, or be invalid or open: look at the counts, or call `all_done()?`"]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Tasks that have not begun.
    pub open: u64,
    /// Tasks that run.
    pub running: u64,
    /// Tasks that have ended without an error.
    pub done: u64,
    /// Tasks that have ended with an error.
    pub failed: u64,
    /// Tasks that cannot be run, or whose state cannot be read.
    pub invalid: u64,
}

impl Summary {
    /// The number of tasks.
    pub fn total(&self) -> u64 {
        self.open + self.running + self.done + self.failed + self.invalid
    }

    /// The number of tasks that are open or running.
    pub fn left(&self) -> u64 {
        self.open + self.running
    }

    /// Whether no task is open or running.
    pub fn is_over(&self) -> bool {
        self.open == 0 && self.running == 0
    }

    /// Returns an error unless all tasks are done.
    ///
    /// # Errors
    /// [`BatchError::NotAllDone`] if any has failed, is invalid, runs or is open.
    ///
    /// ```
    /// use mpisync::Batch;
    /// use mpisync::batch::BatchError;
    ///
    /// let mut batch = Batch::local().tasks(10).build()?;
    /// let ended = batch.for_each(|task, _worker| match task.index() {
    ///     7 => Err("seven is not possible"),
    ///     _ => Ok(()),
    /// })?;
    /// assert!(matches!(ended.all_done(), Err(BatchError::NotAllDone(summary)) if summary.failed == 1));
    /// # Ok::<(), BatchError>(())
    /// ```
    pub fn all_done(self) -> Result<(), BatchError> {
        match self.done == self.total() {
            true => Ok(()),
            false => Err(BatchError::NotAllDone(self)),
        }
    }

    /// Counts one more task.
    pub fn count(&mut self, state: State) {
        *match state {
            State::Open => &mut self.open,
            State::Running => &mut self.running,
            State::Done => &mut self.done,
            State::Failed => &mut self.failed,
            State::Invalid => &mut self.invalid,
        } += 1;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            open,
            running,
            done,
            failed,
            invalid,
        } = self;
        write!(
            f,
            "{done} done, {failed} failed, {running} running, {open} open"
        )?;
        if *invalid > 0 {
            write!(f, ", {invalid} invalid")?;
        }
        Ok(())
    }
}

impl From<TaskStatus> for State {
    fn from(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Open => State::Open,
            TaskStatus::Elsewhere | TaskStatus::Taken => State::Running,
            TaskStatus::Done => State::Done,
            TaskStatus::Failed => State::Failed,
            TaskStatus::Invalid => State::Invalid,
        }
    }
}

/// For a task that no rank of this batch has.
impl From<State> for TaskStatus {
    fn from(state: State) -> Self {
        match state {
            State::Open => TaskStatus::Open,
            State::Running => TaskStatus::Elsewhere,
            State::Done => TaskStatus::Done,
            State::Failed => TaskStatus::Failed,
            State::Invalid => TaskStatus::Invalid,
        }
    }
}

impl From<Counts> for Summary {
    fn from(counts: Counts) -> Self {
        let of = |status: TaskStatus| counts[status as usize];
        Summary {
            open: of(TaskStatus::Open),
            running: of(TaskStatus::Elsewhere) + of(TaskStatus::Taken),
            done: of(TaskStatus::Done),
            failed: of(TaskStatus::Failed),
            invalid: of(TaskStatus::Invalid),
        }
    }
}
