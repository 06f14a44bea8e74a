//! How often a task was begun, if that is limited.

use crate::batch::State;
use crate::batch::directory::{Claim, DirectoryError, Shared};

impl Shared {
    /// Whether a task has failed, and was tried as often as it may be.
    pub(super) fn has_failed_for_good(&self, task: usize) -> Result<bool, DirectoryError> {
        let Some(most) = self.options.tries else {
            return Ok(false);
        };
        let folder = self.folder(task);
        let found = folder.state()?;
        Ok(found.is_some_and(|found| found.state == State::Failed) && folder.tries()? >= most)
    }
}

impl Claim {
    /// Counts this try. Returns the reason why the task has failed instead, if the last try that it
    /// may have was that of a worker which does not end it any more.
    pub(super) fn count_try(&mut self, was: State) -> Result<Option<String>, DirectoryError> {
        let Some(most) = self.shared.options.tries else {
            return Ok(None);
        };
        let before = match was {
            State::Done => 0,
            _ => self.folder.tries()?,
        };
        self.attempt = Some(before.saturating_add(1));
        let is_over = was == State::Running && before >= most;
        Ok(is_over.then(|| {
            format!("the worker of try {before} of {most} has died, or has taken too long")
        }))
    }

    /// Writes the number of this try, before RUNNING: a worker that dies in between has tried the task
    /// once too often, and not too seldom.
    pub(super) fn write_attempt(&self) -> Result<(), DirectoryError> {
        let Some(attempt) = self.attempt else {
            return Ok(());
        };
        let unique = self.shared.owner().unique_name();
        let durable = self.shared.options.durable;
        (self.folder).stage_tries(attempt, &unique, durable)?.put()
    }
}
