//! What becomes of the tasks that others run: other workers, which may die, and other jobs on the
//! same directory.

use crate::batch::table::layout::TaskStatus;
use crate::batch::{Batch, BatchError, Summary};
use crate::shm::wait::{INSPECTION, Surroundings};
use std::time::{Duration, Instant};

impl Batch {
    /// Waits until no task runs, in this batch or in another job on the same directory; how it
    /// stands then. Collective in the worker. A task that was put back, or whose rank has died, is
    /// open then: go on with [`next_task`](Self::next_task). Tasks may have failed or be invalid,
    /// too; see [`Summary::all_done`].
    ///
    /// # Errors
    /// Those of [`next_task`](Self::next_task).
    #[track_caller]
    pub fn wait_all(&mut self) -> Result<Summary, BatchError> {
        self.wait_all_timeout(Duration::MAX)
    }

    /// [`wait_all`](Self::wait_all) that waits for `limit` at most, as the first rank of the worker
    /// passes it.
    ///
    /// # Errors
    /// [`BatchError::Timeout`], and those of [`next_task`](Self::next_task).
    #[track_caller]
    pub fn wait_all_timeout(&mut self, limit: Duration) -> Result<Summary, BatchError> {
        let waited = self.lead(|batch| batch.wait_until_none_runs(limit))?;
        waited.ok_or(BatchError::Timeout { waited: limit })
    }

    fn wait_until_none_runs(&self, limit: Duration) -> Result<Option<Summary>, BatchError> {
        let start = Instant::now();
        let mut sleep_time = INSPECTION;
        let (mut taken, mut elsewhere) = (0, 0);
        loop {
            self.object.check_usable()?;
            self.look_after_others()?;
            if !self.is_any(TaskStatus::Taken, &mut taken)
                && !self.is_any(TaskStatus::Elsewhere, &mut elsewhere)
            {
                return self.summary().map(Some);
            }
            if start.elapsed() >= limit {
                return Ok(None);
            }
            self.rest(&mut sleep_time);
        }
    }

    /// Opens tasks of ranks and jobs that have died; whether there are any.
    #[cold]
    pub(super) fn look_after_others(&self) -> Result<bool, BatchError> {
        Ok(self.access().reclaim() > 0 || self.sweep()?)
    }

    /// Looks what has become of tasks that other jobs run; whether any is open.
    fn sweep(&self) -> Result<bool, BatchError> {
        const OFTEN: Duration = Duration::from_millis(500);
        /// The most of its time that a rank spends with that, one part in so many.
        const SHARE: u32 = 10;
        let Some(directory) = &self.directory else {
            return Ok(false);
        };
        let start = Instant::now();
        if self.next_sweep.get().is_some_and(|next| start < next) {
            return Ok(false);
        }
        let pause = OFTEN.min(directory.stale_after() / 4);
        self.next_sweep.set(Some(start + pause));
        let mut opened = false;
        let mut from = 0;
        while let Some(task) = self.access().find(TaskStatus::Elsewhere, from) {
            from = task + 1;
            let status = match directory.probe(task) {
                Ok(None) => continue,
                Ok(Some(state)) => TaskStatus::from(state),
                Err(error) if directory.is_flaw(task, &error) => {
                    // Told, and left alone; strict batches have found it when they were made.
                    self.problems.borrow_mut().push((task, error));
                    TaskStatus::Invalid
                }
                Err(error) => return Err(self.in_trouble(error)),
            };
            opened |= status == TaskStatus::Open;
            self.access().set(task, status);
        }
        let pause = pause.max(start.elapsed() * SHARE);
        self.next_sweep.set(Some(Instant::now() + pause));
        Ok(opened)
    }

    /// Whether any task has come to this; `seen` is one that had when this was asked last.
    pub(super) fn is_any(&self, status: TaskStatus, seen: &mut usize) -> bool {
        if *seen < self.tasks && self.access().status(*seen) == status {
            return true;
        }
        let found = self.access().find(status, 0);
        *seen = found.unwrap_or(0);
        found.is_some()
    }

    /// Gives the core away for a while, and lets MPI make progress.
    pub(super) fn rest(&self, sleep_time: &mut Duration) {
        const LONGEST: Duration = Duration::from_millis(10);
        self.object.block().domain().progress();
        std::thread::sleep(*sleep_time);
        *sleep_time = LONGEST.min(*sleep_time * 2);
    }
}
