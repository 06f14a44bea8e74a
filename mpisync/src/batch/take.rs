//! How a worker comes to a task.

use crate::batch::directory::{Again, Claimed};
use crate::batch::outcome::Hand;
use crate::batch::table::layout::TaskStatus;
use crate::batch::table::{Offers, Taken};
use crate::batch::{Batch, BatchError, State, Task};
use crate::shm::wait::FIRST_SLEEP;
use serde::{Deserialize, Serialize};

/// A task that was found for a worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Found {
    task: usize,
    was: State,
    /// How many tasks the worker has taken with it.
    round: u64,
}

impl Batch {
    /// Takes the next task for this rank's worker: the first that is open. Collective in the
    /// worker; none when no task is open.
    ///
    /// Tasks that others run may come back open. To stay for these, call
    /// [`wait_all`](Self::wait_all), or use [`for_each`](Self::for_each).
    ///
    /// # Errors
    /// [`BatchError::RankDied`], [`BatchError::RankLeft`], [`BatchError::OtherRank`] with what the
    /// worker's first rank found, [`LockError::Finalized`](crate::LockError::Finalized);
    /// [`BatchError::FileSystem`] where the state directory is in trouble on this rank, which
    /// should leave its tasks to others then; [`BatchError::Directory`] if the batch is
    /// [strict](super::BatchBuilder::strict) and a task is invalid.
    #[track_caller]
    pub fn next_task(&mut self) -> Result<Option<Task<'_>>, BatchError> {
        self.next_task_with(Again::default())
    }

    /// [`next_task`](Self::next_task) that gives other tasks too when none is open: those that were
    /// running when the batch was made and whose job may not be known to have ended, those that
    /// have failed, in this batch too, or those that were done before it. Of each kind a task is
    /// given once in the life of a batch. What a living job runs is not given.
    ///
    /// # Errors
    /// Those of [`next_task`](Self::next_task).
    ///
    /// ```
    /// use mpisync::Batch;
    /// use mpisync::batch::{Again, State};
    ///
    /// let mut batch = Batch::local().initial_states([State::Done, State::Failed]).build()?;
    /// let mut again = Vec::new();
    /// while let Some(task) = batch.next_task_with(Again { failed: true, ..Again::default() })? {
    ///     again.push(task.index());
    ///     task.done()?;
    /// }
    /// assert_eq!(again, [1]);
    /// # Ok::<(), mpisync::batch::BatchError>(())
    /// ```
    #[track_caller]
    pub fn next_task_with(&mut self, again: Again) -> Result<Option<Task<'_>>, BatchError> {
        self.next(again, false)
    }

    /// The next task; when there is none now, and `waits`, once no worker has any that may come
    /// back.
    #[track_caller]
    pub(super) fn next(
        &mut self,
        again: Again,
        waits: bool,
    ) -> Result<Option<Task<'_>>, BatchError> {
        let found = self.lead(|batch| batch.find_in_time(again, waits))?;
        let Some(Found { task, was, round }) = found else {
            return Ok(None);
        };
        self.round = round;
        if !self.worker.leads() {
            self.hand = Some(Hand {
                task,
                claim: None,
                said: None,
            });
        }
        Ok(Some(Task::new(self, task, was)))
    }

    /// Tells the other ranks of the worker, which wait for the next task, why there is none; the
    /// error again.
    #[track_caller]
    pub(super) fn refuse_next(&mut self, error: BatchError) -> BatchError {
        let refused = self.lead::<Found>(|_| Err(error.clone()));
        refused.err().unwrap_or(error)
    }

    /// The next task; when there is none, and `waits`, once no worker has any that may come back.
    fn find_in_time(&mut self, again: Again, waits: bool) -> Result<Option<Found>, BatchError> {
        let mut sleep_time = FIRST_SLEEP;
        let (mut taken, mut open) = (0, 0);
        loop {
            let found = self.find(again)?;
            if found.is_some() || !waits {
                return Ok(found);
            }
            // In this order: what was taken a moment ago may be open by now.
            if !self.is_any(TaskStatus::Taken, &mut taken)
                && !self.is_any(TaskStatus::Open, &mut open)
            {
                return Ok(None);
            }
            self.rest(&mut sleep_time);
        }
    }

    /// Takes a task for this worker, and claims it where there is a state directory.
    fn find(&mut self, again: Again) -> Result<Option<Found>, BatchError> {
        let offers = Offers {
            elsewhere: again.running,
            failed: again.failed,
            done: again.done,
        };
        loop {
            let Some(taken) = self.access().take(offers) else {
                if self.look_after_others()? {
                    continue;
                }
                return Ok(None);
            };
            if let Some(found) = self.claim(taken, again)? {
                return Ok(Some(found));
            }
        }
    }

    /// Makes a task that the table gave this rank the one in hand, if no other job has it.
    #[inline]
    fn claim(&mut self, taken: Taken, again: Again) -> Result<Option<Found>, BatchError> {
        let Taken { task, was } = taken;
        let (mut claim, mut was) = (None, State::from(was));
        if let Some(directory) = &self.directory {
            match directory.claim(task, again) {
                Ok(Claimed::Mine(mine, found)) => (claim, was) = (Some(mine), found),
                Ok(Claimed::Over(state)) => {
                    self.access().finish(task, TaskStatus::from(state));
                    return Ok(None);
                }
                Ok(Claimed::Taken(_)) => {
                    self.access().finish(task, TaskStatus::Elsewhere);
                    return Ok(None);
                }
                Err(error) if directory.is_flaw(task, &error) => {
                    self.access().finish(task, TaskStatus::Invalid);
                    self.note_problem(task, error)?;
                    return Ok(None);
                }
                Err(error) => {
                    // Others may be able to, and the next call, too. Its file says what it was.
                    self.access().finish(task, TaskStatus::Open);
                    return Err(self.in_trouble(error));
                }
            }
        }
        self.hand = Some(Hand {
            task,
            claim,
            said: None,
        });
        let round = self.round + 1;
        Ok(Some(Found { task, was, round }))
    }
}
