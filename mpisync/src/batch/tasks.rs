//! How a worker takes tasks, one after the other by [`Batch::next_task`] or all of them by
//! [`Batch::for_each`].

use crate::batch::directory::{Again, Claimed};
use crate::batch::table::Taken;
use crate::batch::table::layout::TaskStatus;
use crate::batch::task::CurrentTask;
use crate::batch::vote::Vote;
use crate::batch::worker::Outcome;
use crate::batch::{Batch, BatchError, State, Summary, Task, Worker};
use crate::share::{OuterCall, panic_message};
use crate::span::{About, Activity};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::time::Duration;

/// A task that the leader has taken for its worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Found {
    task: usize,
    was: State,
    /// The number of tasks that the worker has taken, with this one.
    round: u64,
    attempt: Option<u32>,
}

/// A call that may take a task.
#[derive(Clone, Copy)]
struct Taking {
    again: Again,
    /// Whether it waits for tasks that may be opened again.
    waits: bool,
    location: &'static Location<'static>,
}

impl Taking {
    fn name(self) -> &'static str {
        match self.waits {
            true => "for_each",
            false => "next_task",
        }
    }
}

impl Batch {
    /// Takes the next task for this rank's worker: the first open one. Returns `None` if no task is
    /// open, or if the batch has [stopped](Self::stopped). Collective in the worker.
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

    /// The next task. One that waits returns `None` only once no worker has a task that may be opened
    /// again.
    #[track_caller]
    fn next(&mut self, again: Again, waits: bool) -> Result<Option<Task<'_>>, BatchError> {
        self.object.check_usable()?;
        self.check_stops();
        let location = Location::caller();
        let taking = Taking {
            again,
            waits,
            location,
        };
        let found = if self.worker.is_leader() {
            let found = self.find(taking);
            self.share(found, taking.name())?
        } else {
            self.receive(taking.name())?
        };
        let Some(found) = found else {
            return Ok(None);
        };
        let Found { task, was, .. } = found;
        self.round = found.round;
        if !self.worker.is_leader() {
            self.current = Some(CurrentTask::of_other(task));
        }
        if let Some(current) = &self.current {
            current.hold.begin(|| About {
                task: Some(task),
                ..self
                    .object
                    .block()
                    .holds(Activity::Task, Some(taking.location))
            });
        }
        Ok(Some(Task {
            batch: self,
            index: task,
            was,
            attempt: found.attempt,
        }))
    }

    /// On the leader: ends the previous task, takes the next one from the table, and claims it in
    /// the state directory.
    fn find(&mut self, taking: Taking) -> Result<Option<Found>, BatchError> {
        let Taking {
            again,
            waits,
            location,
        } = taking;
        self.end_round()?;
        loop {
            while let Some(taken) = self.table.take(&self.object, again)? {
                if let Some((was, attempt)) = self.claim(taken, again)? {
                    let (task, round) = (taken.task, self.round + 1);
                    return Ok(Some(Found {
                        task,
                        was,
                        round,
                        attempt,
                    }));
                }
                self.check_stops();
            }
            let is_open = match waits {
                true => self.wait_for_task(taking.name(), location)?,
                false => self.reclaim()?,
            };
            if !is_open {
                return Ok(None);
            }
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
    /// state and the number of this try, or `None` if another job has the task, or if it cannot be
    /// run.
    #[inline]
    fn claim(
        &mut self,
        taken: Taken,
        again: Again,
    ) -> Result<Option<(State, Option<u32>)>, BatchError> {
        let Taken { task, was, byte } = taken;
        let Some(directory) = &self.directory else {
            let attempt = self.limits.tries.map(|_| byte.takings());
            self.current = Some(CurrentTask::of_leader(taken, None, attempt, &self.limits));
            return Ok(Some((State::from(was), attempt)));
        };
        let (status, claimed) = match directory.claim(task, again) {
            Ok(Claimed::Mine(claim, was)) => {
                let attempt = claim.attempt();
                let current = CurrentTask::of_leader(taken, Some(claim), attempt, &self.limits);
                self.current = Some(current);
                return Ok(Some((was, attempt)));
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
        self.table.finish(&self.object, taken, status);
        claimed
    }

    /// A call as the one that the ranks of the worker meet for.
    fn outer_call<'a>(&'a self, name: &'a str, poll: &'a dyn Fn()) -> OuterCall<'a> {
        OuterCall {
            block: self.object.block(),
            members: self.worker.members(),
            name,
            poll,
        }
    }

    /// On the leader: waits for the votes of the other ranks on a task, of which this rank has this
    /// vote.
    pub(super) fn outcome(&self, task: usize, mine: Vote) -> Result<Outcome, BatchError> {
        if self.worker.team.is_none() {
            return Ok(Outcome::Vote(mine));
        }
        let name = format!("the end of task {}", self.name_of(task));
        let outer = self.outer_call(&name, &|| {});
        self.worker.outcome(self.round, mine, &outer)
    }

    /// On the leader: shares the result of a call with the other ranks of the worker.
    #[track_caller]
    fn share<T: Copy + Serialize>(
        &mut self,
        result: Result<T, BatchError>,
        name: &str,
    ) -> Result<T, BatchError> {
        let outer = self.outer_call(name, &|| {});
        if let Err(error) = self.worker.share(&result, &outer) {
            self.drop_task(Vote::Open);
            return Err(error);
        }
        result
    }

    /// On the other ranks: waits for the result that the leader shares.
    #[track_caller]
    fn receive<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, BatchError> {
        // A task that was forgotten.
        self.drop_task(Vote::Open);
        let poll = || self.check_stops();
        self.worker.receive(&self.outer_call(name, &poll))
    }

    /// Runs `run` for each task, on all ranks of the worker that takes it, until no task is open
    /// and no other worker of this batch runs one that may be opened again. Returns the final
    /// counts. Collective.
    ///
    /// In a state directory there may be tasks of other jobs. If such a job may be dead, because it
    /// ran on another host, the call waits until it has given a heartbeat, or takes its task over
    /// after [`stale_after`](super::BatchBuilder::stale_after). Tasks of jobs that live are left to
    /// them: they are [`running`](Summary::running) in the counts.
    ///
    /// Once the batch has [stopped](Self::stopped), the call returns without waiting for the tasks of
    /// other workers; [`wait_all`](Self::wait_all) does that.
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
            match ended {
                // It has failed, or is open again; the summary counts it.
                Ok(()) | Err(BatchError::Overdue { .. }) => {}
                Err(error) => return Err(self.refuse_next(error)),
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
        self.share(refused, "for_each").err().unwrap_or(error)
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
            let waited = self.end_round();
            let location = Location::caller();
            let waited = waited.and_then(|()| self.wait_until_none_runs(limit, location));
            self.share(waited, "wait_all")?
        } else {
            self.receive("wait_all")?
        };
        waited.ok_or(BatchError::Timeout { waited: limit })
    }
}
