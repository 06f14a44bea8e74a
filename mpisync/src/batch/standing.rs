//! The states of a batch's tasks, and what they are in its table.

use crate::batch::table::Counts;
use crate::batch::table::layout::TaskStatus;
use crate::batch::{Batch, BatchError, State, Summary};

impl Batch {
    /// What has become of a task, here or in another job. Not collective.
    ///
    /// # Errors
    /// [`BatchError::NoSuchTask`], [`LockError::Finalized`](crate::LockError::Finalized), and
    /// [`BatchError::Directory`] where the state of a task that another job runs cannot be read.
    pub fn state(&self, task: usize) -> Result<State, BatchError> {
        self.object.check_usable()?;
        self.check_task(task)?;
        match (self.access().status(task), &self.directory) {
            (TaskStatus::Elsewhere, Some(directory)) => Ok(directory.state(task)?),
            (status, _) => Ok(State::from(status)),
        }
    }

    /// Sets a task's state, which no worker runs: to [`State::Open`], to have it run again. Not
    /// collective.
    ///
    /// # Errors
    /// [`BatchError::Busy`], [`BatchError::SetRunning`], [`BatchError::NoSuchTask`],
    /// [`LockError::Finalized`](crate::LockError::Finalized), and [`BatchError::Directory`], also
    /// where another job runs the task.
    pub fn set_state(&self, task: usize, state: State) -> Result<(), BatchError> {
        self.object.check_usable()?;
        self.check_task(task)?;
        if state == State::Running {
            return Err(BatchError::SetRunning);
        }
        if self.access().status(task) == TaskStatus::Taken {
            return Err(BatchError::Busy { task });
        }
        if let Some(directory) = &self.directory {
            directory.set(task, state)?;
        }
        if self.access().set(task, TaskStatus::from(state)) {
            return Ok(());
        }
        Err(BatchError::Busy { task })
    }

    /// How many tasks are open, running, done, and so on, as far as this batch knows. Not
    /// collective. It looks at a byte a task, and whether the ranks live that run some: what a dead
    /// one had is open.
    ///
    /// # Errors
    /// [`LockError::Finalized`](crate::LockError::Finalized).
    pub fn summary(&self) -> Result<Summary, BatchError> {
        self.object.check_usable()?;
        self.access().reclaim();
        Ok(Summary::from(self.access().counts()))
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
