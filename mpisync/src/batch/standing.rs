//! The states of a batch's tasks, and what they are in its ledger.

use crate::batch::table::Counts;
use crate::batch::table::layout::Entry;
use crate::batch::{Batch, BatchError, State, Summary};

impl Batch {
    /// What has become of a task, here or in another job. Not collective.
    ///
    /// # Errors
    /// [`BatchError::NoSuchTask`], [`LockError::Finalized`](crate::LockError::Finalized), and [`BatchError::Directory`] where the
    /// state of a task that another job runs cannot be read.
    pub fn state(&self, task: usize) -> Result<State, BatchError> {
        self.object.check_usable()?;
        self.check_task(task)?;
        match (self.books().entry(task), &self.directory) {
            (Entry::Elsewhere, Some(directory)) => Ok(directory.state(task)?),
            (entry, _) => Ok(State::from(entry)),
        }
    }

    /// Sets a task's state, which no worker runs: to [`State::Open`], to have it run again. Not collective.
    ///
    /// # Errors
    /// [`BatchError::Busy`], [`BatchError::SetRunning`], [`BatchError::NoSuchTask`],
    /// [`LockError::Finalized`](crate::LockError::Finalized), and [`BatchError::Directory`], also where another job runs the
    /// task.
    pub fn set_state(&self, task: usize, state: State) -> Result<(), BatchError> {
        self.object.check_usable()?;
        self.check_task(task)?;
        if state == State::Running {
            return Err(BatchError::SetRunning);
        }
        if self.books().entry(task) == Entry::Taken {
            return Err(BatchError::Busy { task });
        }
        if let Some(directory) = &self.directory {
            directory.set(task, state)?;
        }
        if self.books().set(task, Entry::from(state)) {
            return Ok(());
        }
        Err(BatchError::Busy { task })
    }

    /// How many tasks are open, running, done, and so on, as far as this batch knows. Not collective. It looks at a byte a task,
    /// and whether the ranks live that run some: what a dead one had is open.
    ///
    /// # Errors
    /// [`LockError::Finalized`](crate::LockError::Finalized).
    pub fn summary(&self) -> Result<Summary, BatchError> {
        self.object.check_usable()?;
        self.books().bury();
        Ok(Summary::from(self.books().counts()))
    }
}

impl From<Entry> for State {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Open => State::Open,
            Entry::Elsewhere | Entry::Taken => State::Running,
            Entry::Done => State::Done,
            Entry::Failed => State::Failed,
            Entry::Invalid => State::Invalid,
        }
    }
}

/// For a task that no rank of this batch has.
impl From<State> for Entry {
    fn from(state: State) -> Self {
        match state {
            State::Open => Entry::Open,
            State::Running => Entry::Elsewhere,
            State::Done => Entry::Done,
            State::Failed => Entry::Failed,
            State::Invalid => Entry::Invalid,
        }
    }
}

impl From<Counts> for Summary {
    fn from(counts: Counts) -> Self {
        let of = |entry: Entry| counts[entry as usize];
        Summary {
            open: of(Entry::Open),
            running: of(Entry::Elsewhere) + of(Entry::Taken),
            done: of(Entry::Done),
            failed: of(Entry::Failed),
            invalid: of(Entry::Invalid),
        }
    }
}
