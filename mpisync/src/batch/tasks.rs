//! How a worker takes tasks, one after the other by [`Batch::next_task`], several at a time by
//! [`Batch::next_tasks`], or all of them by [`Batch::for_each`].

use crate::batch::directory::Again;
use crate::batch::round::Taking;
use crate::batch::vote::Vote;
use crate::batch::{Batch, BatchError, Summary, Task, Worker};
use crate::share::panic_message;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::time::Duration;

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
        let taking = Taking {
            name: "next_task",
            again,
            most: 1,
            waits: false,
            location: Location::caller(),
        };
        self.take(taking)?;
        Ok(self.task_at(0))
    }

    /// Takes several tasks at a time for this rank's worker: the first open ones, up to `most`. They
    /// may be ended in any order, each by itself. Returns `None`, and never an empty vector, if no
    /// task is open, or if the batch has [stopped](Self::stopped). Collective in the worker, all of
    /// whose ranks get the same tasks in the same order. `most` must be the same on them; that of the
    /// first rank is used.
    ///
    /// As after [`next_task`](Self::next_task), tasks that run on other workers may be opened again.
    ///
    /// There are fewer tasks than `most` if fewer are open, and at most
    /// [`MAX_AT_ONCE`](Self::MAX_AT_ONCE). All of them have to be ended or dropped before the next
    /// call: they borrow the batch. The ranks of a worker may end them in different orders; the first
    /// rank waits for the others at the end of each. A [time
    /// limit](super::BatchBuilder::task_timeout) begins for all of them when they are taken. In a state
    /// directory each of them keeps two files open until it ends.
    ///
    /// # Errors
    /// Those of [`next_task`](Self::next_task), and [`BatchError::ZeroTasks`]. If only some of the tasks
    /// could be claimed in the state directory, these are returned, and the next call returns the
    /// error.
    ///
    /// ```
    /// use mpisync::{Batch, Task};
    ///
    /// let mut batch = Batch::local().tasks(20).build()?;
    /// while let Some(tasks) = batch.next_tasks(8)? {
    ///     // All at once, by threads or as a vector.
    ///     let inputs: Vec<usize> = tasks.iter().map(Task::index).collect();
    ///     let roots = inputs.iter().map(|&input| (input as f64).sqrt());
    ///     for (task, root) in tasks.into_iter().zip(roots) {
    ///         match root.fract() == 0.0 {
    ///             true => task.done()?,
    ///             false => task.failed("no square number")?,
    ///         }
    ///     }
    /// }
    /// assert_eq!(batch.summary()?.done, 5);
    /// # Ok::<(), mpisync::batch::BatchError>(())
    /// ```
    #[track_caller]
    pub fn next_tasks(&mut self, most: usize) -> Result<Option<Vec<Task<'_>>>, BatchError> {
        self.next_tasks_with(most, Again::default())
    }

    /// [`next_tasks`](Self::next_tasks) that also takes tasks that are not open, once no task is open;
    /// see [`next_task_with`](Self::next_task_with). Collective in the worker.
    ///
    /// # Errors
    /// Those of [`next_tasks`](Self::next_tasks).
    ///
    /// ```
    /// use mpisync::Batch;
    /// use mpisync::batch::{Again, State};
    ///
    /// let states = [State::Failed, State::Open, State::Done, State::Failed];
    /// let mut batch = Batch::local().initial_states(states).build()?;
    /// let again = Again { failed: true, ..Again::default() };
    /// let tasks = batch.next_tasks_with(8, again)?.expect("some are left");
    /// assert_eq!(tasks.iter().map(|task| task.index()).collect::<Vec<_>>(), [1, 0, 3]);
    /// # tasks.into_iter().try_for_each(|task| task.done())?;
    /// # Ok::<(), mpisync::batch::BatchError>(())
    /// ```
    #[track_caller]
    pub fn next_tasks_with(
        &mut self,
        most: usize,
        again: Again,
    ) -> Result<Option<Vec<Task<'_>>>, BatchError> {
        let taking = Taking {
            name: "next_tasks",
            again,
            most,
            waits: false,
            location: Location::caller(),
        };
        self.take(taking)?;
        let batch: &Batch = self;
        let positions = 0..batch.current.len();
        let tasks: Vec<_> = positions.filter_map(|at| batch.task_at(at)).collect();
        Ok((!tasks.is_empty()).then_some(tasks))
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
        let taking = Taking {
            name: "for_each",
            again,
            most: 1,
            waits: true,
            location: Location::caller(),
        };
        loop {
            self.take(taking)?;
            let Some(task) = self.task_at(0) else {
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
        let location = Location::caller();
        let waited = if self.worker.is_leader() {
            let waited = self.end_round();
            let waited = waited.and_then(|()| self.wait_until_none_runs(limit, location));
            self.share(waited, "wait_all", location)?
        } else {
            self.receive("wait_all", location)?
        };
        waited.ok_or(BatchError::Timeout { waited: limit })
    }
}
