//! How far a task is, and how far all of them are.

use crate::batch::BatchError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How far a task is. In text it is one word in capitals, as in the task's file.
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
    /// Nobody has begun it.
    Open,
    /// A job runs it, or died while it did.
    Running,
    /// It has ended well.
    Done,
    /// It has ended with an error.
    Failed,
    /// It cannot be run.
    Invalid,
}

impl State {
    const ALL: [State; 5] = [
        State::Open,
        State::Running,
        State::Done,
        State::Failed,
        State::Invalid,
    ];

    /// Its word.
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

/// A word that is no state.
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

/// How many tasks are in which state.
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
#[must_use = "tasks may have failed, or be invalid or open: look at the counts, or say `all_done()?`"]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Those that nobody has begun.
    pub open: u64,
    /// Those that run.
    pub running: u64,
    /// Those that have ended well.
    pub done: u64,
    /// Those that have ended with an error.
    pub failed: u64,
    /// Those that cannot be run, and those whose state cannot be read.
    pub invalid: u64,
}

impl Summary {
    /// How many there are.
    pub fn total(&self) -> u64 {
        self.open + self.running + self.done + self.failed + self.invalid
    }

    /// Whether none is left to run, nor runs.
    pub fn is_over(&self) -> bool {
        self.open == 0 && self.running == 0
    }

    /// An error if not all tasks are done.
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

    /// Counts one more.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for state in State::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
            let bytes = postcard::to_stdvec(&state).expect("a state");
            assert_eq!(postcard::from_bytes::<State>(&bytes), Ok(state));
        }
        for word in ["", "done", "DONE ", "DONEDONE", "PENDING"] {
            let error = word.parse::<State>().expect_err("no state");
            assert_eq!(error, UnknownWord(word.to_owned()));
            assert!(error.to_string().contains("RUNNING"));
        }
        assert_eq!(format!("[{:>6}]", State::Done), "[  DONE]");
    }

    #[test]
    fn a_summary_counts_each_state() {
        let mut summary = Summary::default();
        assert!(summary.is_over());
        for (count, state) in State::ALL.into_iter().enumerate() {
            for _ in 0..=count {
                summary.count(state);
            }
        }
        assert_eq!(summary.total(), 15);
        assert_eq!(
            summary.to_string(),
            "3 done, 4 failed, 2 running, 1 open, 5 invalid"
        );
        let over = Summary {
            open: 0,
            running: 0,
            ..summary
        };
        assert!(over.is_over() && !summary.is_over());
        for unfinished in [Summary { open: 1, ..over }, Summary { running: 1, ..over }] {
            assert!(!unfinished.is_over());
        }
    }
}
