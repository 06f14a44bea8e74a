//! How a worker takes tasks, one after the other by [`Batch::next_task`] or all of them by
//! [`Batch::for_each`], and how it waits for those of others.

use crate::batch::directory::{Again, Claim, Claimed};
use crate::batch::table::Taken;
use crate::batch::table::layout::TaskStatus;
use crate::batch::task::CurrentTask;
use crate::batch::vote::Vote;
use crate::batch::{Batch, BatchError, State, Summary, Task, Worker};
use crate::error::LockError;
use crate::share::panic_message;
use crate::shm::wait::{FIRST_SLEEP, INSPECTION, Surroundings};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

/// A task that the leader has taken for its worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Found {
    task: usize,
    was: State,
    /// The number of tasks that the worker has taken, with this one.
    round: u64,
}

impl Batch {
    /// Takes the next task for this rank's worker: the first open one. Returns `None` if no task is
    /// open. Collective in the worker.
    ///
    /// Tasks that run on other workers may be opened again. To wait for these, call
    /// [`wait_all`](Self::wait_all), or use [`for_each`](Self::for_each).
    ///
    /// # Errors
    /// [`BatchError::RankDied`], [`BatchError::RankLeft`], [`BatchError::OtherRank`] with the error
    /// of the worker's first rank, [`LockError::Finalized`](crate::LockError::Finalized);
    /// [`BatchError::FileSystem`] if this rank cannot use the state directory, which should then
    /// leave the tasks to other ranks; [`BatchError::Directory`] if the batch is
    /// [strict](super::BatchBuilder::strict) and a task is invalid.
    #[track_caller]
    pub fn next_task(&mut self) -> Result<Option<Task<'_>>, BatchError> {
        self.next_task_with(Again::default())
    }

    /// [`next_task`](Self::next_task) that also takes tasks that are not open, once no task is
    /// open: those that were running when the batch was made and whose job may have ended, those
    /// that failed, in this batch too, or those that were done before it. Each task is taken at
    /// most once for each of these reasons in the life of a batch. Tasks that a living job runs are
    /// not taken.
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

    /// The next task. With `waits`, returns `None` only once no worker has a task that may be
    /// opened again.
    #[track_caller]
    fn next(&mut self, again: Again, waits: bool) -> Result<Option<Task<'_>>, BatchError> {
        self.object.check_usable()?;
        let found = if self.worker.is_leader() {
            let found = self.find(again, waits);
            self.share(found)?
        } else {
            self.receive()?
        };
        let Some(Found { task, was, round }) = found else {
            return Ok(None);
        };
        self.round = round;
        if !self.worker.is_leader() {
            self.set_current(task, None);
        }
        Ok(Some(Task {
            batch: self,
            index: task,
            was,
        }))
    }

    /// On the leader: ends the previous task, takes the next one from the table, and claims it in
    /// the state directory.
    fn find(&mut self, again: Again, waits: bool) -> Result<Option<Found>, BatchError> {
        self.end_round()?;
        let mut sleep_time = FIRST_SLEEP;
        let (mut last_taken, mut last_open) = (0, 0);
        loop {
            while let Some(taken) = self.table.take(&self.object, again)? {
                if let Some(was) = self.claim(taken, again)? {
                    let (task, round) = (taken.task, self.round + 1);
                    return Ok(Some(Found { task, was, round }));
                }
            }
            if self.reclaim()? {
                continue;
            }
            // In this order: a task that was taken a moment ago may be open by now.
            let may_be_opened = waits
                && (self.is_any(TaskStatus::Taken, &mut last_taken)?
                    || self.is_any(TaskStatus::Open, &mut last_open)?);
            if !may_be_opened {
                return Ok(None);
            }
            self.sleep(&mut sleep_time);
        }
    }

    /// On the leader: ends the previous task, and checks that all ranks still take part.
    fn end_round(&mut self) -> Result<(), BatchError> {
        self.settle()?;
        match &self.broken {
            Some(error) => Err(error.clone()),
            None => self.worker.check_present(),
        }
    }

    /// Makes a task that the table has given to this rank the current one. Returns its previous
    /// state, or `None` if another job has the task, or if it cannot be run.
    #[inline]
    fn claim(&mut self, taken: Taken, again: Again) -> Result<Option<State>, BatchError> {
        let Taken { task, was } = taken;
        let Some(directory) = &self.directory else {
            self.set_current(task, None);
            return Ok(Some(State::from(was)));
        };
        let (status, claimed) = match directory.claim(task, again) {
            Ok(Claimed::Mine(claim, was)) => {
                self.set_current(task, Some(claim));
                return Ok(Some(was));
            }
            Ok(Claimed::Over(state)) => (TaskStatus::from(state), Ok(None)),
            Ok(Claimed::Taken(_)) => (TaskStatus::Elsewhere, Ok(None)),
            Err(error) if directory.is_flaw(task, &error) => {
                let noted = self.note_problem(task, error);
                (TaskStatus::Invalid, noted.map(|()| None))
            }
            // Other ranks may be able to claim it, or the next call. Its file has the state.
            Err(error) => (TaskStatus::Open, Err(self.file_system_error(error))),
        };
        self.table.finish(&self.object, task, status);
        claimed
    }

    #[inline]
    fn set_current(&mut self, task: usize, claim: Option<Claim>) {
        self.current = Some(CurrentTask {
            task,
            claim,
            vote: None,
        });
    }

    /// On the leader: shares the result of a call with the other ranks of the worker.
    #[track_caller]
    fn share<T: Copy + Serialize>(
        &mut self,
        result: Result<T, BatchError>,
    ) -> Result<T, BatchError> {
        if let Err(error) = self.worker.share(&result) {
            self.drop_task(Vote::Open);
            return Err(error);
        }
        result
    }

    /// On the other ranks: waits for the result that the leader shares.
    #[track_caller]
    fn receive<T: DeserializeOwned>(&mut self) -> Result<T, BatchError> {
        // A task that was forgotten.
        self.drop_task(Vote::Open);
        self.worker.receive()
    }

    /// Runs `run` for each task, on all ranks of the worker that takes it, until no task is open
    /// and no other worker of this batch runs one that may be opened again. Returns the final
    /// counts. Collective.
    ///
    /// A task fails if `run` returns an error or panics on any rank; the reason is the error or the
    /// panic's message. The other tasks run. Look at the [`Summary`], or turn it into an error by
    /// [`all_done`](Summary::all_done); the state directory has the reasons.
    ///
    /// # Errors
    /// Those of [`next_task`](Self::next_task) and [`Task::done`]. They end the work of this rank's
    /// worker; the other workers continue.
    ///
    /// ```
    /// use mpisync::Batch;
    ///
    /// let mut batch = Batch::local().tasks(10).build()?;
    /// let summary = batch.for_each(|task, _worker| {
    ///     match task.index() {
    ///         7 => Err("seven is not possible"),
    ///         _ => Ok(()),
    ///     }
    /// })?;
    /// assert_eq!((summary.done, summary.failed), (9, 1));
    /// # Ok::<(), mpisync::batch::BatchError>(())
    /// ```
    #[track_caller]
    pub fn for_each<E: Display>(
        &mut self,
        run: impl FnMut(&Task<'_>, &Worker) -> Result<(), E>,
    ) -> Result<Summary, BatchError> {
        self.for_each_with(Again::default(), run)
    }

    /// [`for_each`](Self::for_each) that also runs tasks that are not open; see
    /// [`next_task_with`](Self::next_task_with). Collective.
    ///
    /// # Errors
    /// Those of [`for_each`](Self::for_each).
    #[track_caller]
    pub fn for_each_with<E: Display>(
        &mut self,
        again: Again,
        mut run: impl FnMut(&Task<'_>, &Worker) -> Result<(), E>,
    ) -> Result<Summary, BatchError> {
        loop {
            let Some(task) = self.next(again, true)? else {
                return self.summary();
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&task, task.worker())));
            let ended = task.end(match outcome {
                Ok(Ok(())) => Vote::Done,
                Ok(Err(error)) => Vote::Failed(format!("{error:#}")),
                Err(panic) => Vote::Failed(panic_message(panic.as_ref())),
            });
            if let Err(error) = ended {
                return Err(self.refuse_next(error));
            }
        }
    }

    /// Shares an error with the other ranks of the worker, which wait for the next task, and
    /// returns it.
    #[track_caller]
    fn refuse_next(&mut self, error: BatchError) -> BatchError {
        if let Err(finalized) = self.object.check_usable() {
            return finalized.into();
        }
        let refused = self.end_round().and(Err::<Option<Found>, _>(error.clone()));
        self.share(refused).err().unwrap_or(error)
    }

    /// Waits until no task runs, in this batch or in another job on the same directory, and returns
    /// the counts. Collective in the worker. A task that was reopened, or whose rank has died, is
    /// open then: call [`next_task`](Self::next_task) again. Tasks may have failed or be invalid,
    /// too; see [`Summary::all_done`].
    ///
    /// # Errors
    /// Those of [`next_task`](Self::next_task).
    #[track_caller]
    pub fn wait_all(&mut self) -> Result<Summary, BatchError> {
        self.wait_all_timeout(Duration::MAX)
    }

    /// [`wait_all`](Self::wait_all) with a limit; the value of the worker's first rank is used.
    ///
    /// # Errors
    /// [`BatchError::Timeout`], and those of [`next_task`](Self::next_task).
    #[track_caller]
    pub fn wait_all_timeout(&mut self, limit: Duration) -> Result<Summary, BatchError> {
        self.object.check_usable()?;
        let waited = if self.worker.is_leader() {
            let waited = self.wait_until_none_runs(limit);
            self.share(waited)?
        } else {
            self.receive()?
        };
        waited.ok_or(BatchError::Timeout { waited: limit })
    }

    /// On the leader. `None` if the time is up.
    fn wait_until_none_runs(&mut self, limit: Duration) -> Result<Option<Summary>, BatchError> {
        self.end_round()?;
        let start = Instant::now();
        let mut sleep_time = INSPECTION;
        let (mut last_taken, mut last_elsewhere) = (0, 0);
        loop {
            self.object.check_usable()?;
            self.reclaim()?;
            if !self.is_any(TaskStatus::Taken, &mut last_taken)?
                && !self.is_any(TaskStatus::Elsewhere, &mut last_elsewhere)?
            {
                return self.summary().map(Some);
            }
            if start.elapsed() >= limit {
                return Ok(None);
            }
            self.sleep(&mut sleep_time);
        }
    }

    /// Opens tasks of ranks and jobs that have died. Returns whether there were any.
    #[cold]
    pub(super) fn reclaim(&self) -> Result<bool, BatchError> {
        let domain = self.object.block().domain();
        domain
            .host_loss()
            .map_or(Ok(()), |loss| Err(LockError::from(loss)))?;
        Ok(self.table.reclaim(&self.object)? > 0 || self.probe_other_jobs()?)
    }

    /// Updates the status of tasks that other jobs run, at most twice a second and for a tenth of
    /// the time. Returns whether any is open now.
    fn probe_other_jobs(&self) -> Result<bool, BatchError> {
        const LONGEST_PAUSE: Duration = Duration::from_millis(500);
        /// The pause is at least this many times as long as the probing.
        const PAUSE_FACTOR: u32 = 10;
        let Some(directory) = &self.directory else {
            return Ok(false);
        };
        let start = Instant::now();
        if self.next_probe.get().is_some_and(|next| start < next) {
            return Ok(false);
        }
        let pause = LONGEST_PAUSE.min(directory.stale_after() / 4);
        self.next_probe.set(Some(start + pause));
        let mut opened = false;
        let mut from = 0;
        while let Some(task) = self.table.find(&self.object, TaskStatus::Elsewhere, from)? {
            from = task + 1;
            let status = match directory.probe(task) {
                Ok(None) => continue,
                Ok(Some(state)) => TaskStatus::from(state),
                Err(error) if directory.is_flaw(task, &error) => {
                    // Also in a strict batch, which has looked for flaws when it was made.
                    self.problems.borrow_mut().push((task, error));
                    TaskStatus::Invalid
                }
                Err(error) => return Err(self.file_system_error(error)),
            };
            opened |= status == TaskStatus::Open;
            self.table.set(&self.object, task, status)?;
        }
        let pause = pause.max(start.elapsed() * PAUSE_FACTOR);
        self.next_probe.set(Some(Instant::now() + pause));
        Ok(opened)
    }

    /// Whether any task has this status. `last` is the task that the last call found.
    fn is_any(&self, status: TaskStatus, last: &mut usize) -> Result<bool, LockError> {
        if *last < self.tasks && self.table.status(&self.object, *last)? == status {
            return Ok(true);
        }
        let found = self.table.find(&self.object, status, 0)?;
        *last = found.unwrap_or(0);
        Ok(found.is_some())
    }

    /// Lets MPI make progress, and sleeps, twice as long as the last time.
    fn sleep(&self, sleep_time: &mut Duration) {
        const LONGEST: Duration = Duration::from_millis(10);
        self.object.block().domain().progress();
        thread::sleep(*sleep_time);
        *sleep_time = LONGEST.min(*sleep_time * 2);
    }
}
