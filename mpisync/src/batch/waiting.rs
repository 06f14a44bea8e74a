//! How the first rank of a worker waits for tasks of other ranks and jobs, and what it reports then.

use crate::batch::directory::{Probe, Sign};
use crate::batch::table::layout::TaskStatus;
use crate::batch::{Batch, BatchError, Summary};
use crate::error::LockError;
use crate::shm::block::Block;
use crate::shm::wait::{FIRST_SLEEP, INSPECTION, Stop, Surroundings};
use crate::shm::waiting::{Awaited, BlockSubject, Call, Needs, Watch};
use crate::span::Outcome;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::Location;
use std::thread;
use std::time::{Duration, Instant};

/// The most tasks that a report names, of ranks and of other jobs each.
const NAMED: usize = 8;

/// What this rank knows of the tasks that other jobs run.
#[derive(Debug, Default)]
pub(super) struct OtherJobs {
    /// When it probed them last, and when it may do so again.
    probed: Cell<Option<Instant>>,
    next_probe: Cell<Option<Instant>>,
    /// Whether the last probe has found any whose job may be dead.
    are_unknown: Cell<bool>,
    /// By task, for those whose job is not known to be alive: its sign of life, since when it is
    /// that, and whether another one was seen before.
    signs: RefCell<HashMap<usize, (Sign, Instant, bool)>>,
}

impl OtherJobs {
    /// Whether the job of a task with this sign of life may be dead. A job gives a heartbeat twice
    /// in `long`.
    fn may_be_dead(&self, task: usize, sign: Sign, long: Duration) -> bool {
        let now = Instant::now();
        let mut signs = self.signs.borrow_mut();
        let (last, since, has_changed) = signs.entry(task).or_insert((sign, now, false));
        if *last != sign {
            (*last, *since, *has_changed) = (sign, now, true);
        }
        !*has_changed || now - *since >= long
    }
}

/// A batch as something to wait for.
struct TasksOfOthers<'a>(&'a Batch);

impl BlockSubject for TasksOfOthers<'_> {
    fn block(&self) -> &Block {
        self.0.object.block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        // If a host is lost, the wait ends with that error.
        let held = self
            .0
            .table
            .held(&self.0.object, usize::MAX)
            .unwrap_or_default();
        let mut ranks: Vec<u32> = held.into_iter().map(|(rank, _)| rank).collect();
        // Those of a rank come together.
        ranks.dedup();
        Awaited::all(ranks, "has a task")
    }

    /// The table may be on another node.
    fn asks_to_look(&self) -> bool {
        true
    }

    /// Another job, or a condition that stops the batch, may end the wait.
    fn needs(&self) -> Needs {
        Needs::Unknown
    }

    fn details(&self) -> Vec<String> {
        let batch = self.0;
        let mut lines = Vec::new();
        let held = batch.table.held(&batch.object, NAMED).unwrap_or_default();
        if !held.is_empty() {
            let name = |(rank, task)| format!("{} on rank {rank}", batch.name_of(task));
            let names: Vec<String> = held.into_iter().map(name).collect();
            lines.push(format!("tasks: {}", names.join(", ")));
        }
        let Some(directory) = &batch.directory else {
            return lines;
        };
        let mut from = 0;
        while let Some(task) = batch
            .table
            .find(&batch.object, TaskStatus::Elsewhere, from)
            .unwrap_or_default()
            .filter(|_| lines.len() <= NAMED)
        {
            from = task + 1;
            let by = match directory.claimant(task) {
                Ok(Some(by)) => by.to_string(),
                Ok(None) => "a job that is not known to live".to_owned(),
                Err(error) => error.to_string(),
            };
            let after = directory.stale_after();
            let name = batch.name_of(task);
            lines.push(format!(
                "task {name} of another job: {by}; it is free after {after:?} without a heartbeat"
            ));
        }
        lines
    }
}

impl Batch {
    /// On the leader: waits until a task is open. Returns false if none will be: the batch has
    /// stopped, or no rank and no job that may be dead has a task.
    pub(super) fn wait_for_task(
        &self,
        name: &str,
        location: &'static Location<'static>,
    ) -> Result<bool, BatchError> {
        let (mut last_taken, mut last_open) = (0, 0);
        let mut idle_since = None;
        let outcome = |_: &bool| Outcome::Success;
        self.poll(name, location, FIRST_SLEEP, outcome, || {
            if self.reclaim()? {
                return Ok(Some(true));
            }
            if self.table.stopped(&self.object)? != 0 {
                return Ok(Some(false));
            }
            let is_taken = self.is_any(TaskStatus::Taken, &mut last_taken)?;
            if is_taken || idle_since.is_none() {
                idle_since = Some(Instant::now());
            }
            let waits = is_taken || self.waits_for_other_jobs(idle_since)?;
            if self.is_any(TaskStatus::Open, &mut last_open)? {
                return Ok(Some(true));
            }
            Ok((!waits && self.is_each_ended()?).then_some(false))
        })
    }

    /// On the leader: waits until no task runs. `None` if the time is up.
    pub(super) fn wait_until_none_runs(
        &self,
        limit: Duration,
        location: &'static Location<'static>,
    ) -> Result<Option<Summary>, BatchError> {
        let start = Instant::now();
        let (mut last_taken, mut last_elsewhere) = (0, 0);
        let outcome = |summary: &Option<Summary>| match summary {
            Some(_) => Outcome::Success,
            None => Outcome::Timeout,
        };
        self.poll("wait_all", location, INSPECTION, outcome, || {
            self.reclaim()?;
            if !self.is_any(TaskStatus::Taken, &mut last_taken)?
                && !self.is_any(TaskStatus::Elsewhere, &mut last_elsewhere)?
            {
                return self.summary().map(|summary| Some(Some(summary)));
            }
            Ok((start.elapsed() >= limit).then_some(None))
        })
    }

    /// Calls `check` until it returns a value, with pauses between `first_sleep` and 10 ms. The wait has
    /// the outcome of that value.
    fn poll<T>(
        &self,
        name: &str,
        location: &'static Location<'static>,
        first_sleep: Duration,
        outcome: impl FnOnce(&T) -> Outcome,
        mut check: impl FnMut() -> Result<Option<T>, BatchError>,
    ) -> Result<T, BatchError> {
        const LONGEST: Duration = Duration::from_millis(10);
        let subject = TasksOfOthers(self);
        let call = Call::new(&subject, name, location);
        let mut watch = Watch::new(Some(call), false, Instant::now());
        let mut sleep_time = first_sleep;
        loop {
            self.object.check_usable()?;
            self.check_stops();
            if let Some(value) = check()? {
                watch.end(outcome(&value));
                return Ok(value);
            }
            watch.tick(Instant::now()).map_err(Stop::into_error)?;
            self.object.block().domain().progress();
            thread::sleep(sleep_time);
            sleep_time = LONGEST.min(sleep_time * 2);
        }
    }

    /// Opens tasks of ranks and jobs that have died. Returns whether there were any.
    #[cold]
    pub(super) fn reclaim(&self) -> Result<bool, BatchError> {
        if let Some(loss) = self.object.block().domain().host_loss() {
            return Err(LockError::from(loss).into());
        }
        Ok(self.table.reclaim(&self.object)? > 0 || self.probe_other_jobs()?)
    }

    /// Whether another job that may be dead has a task, by a probe after this instant.
    fn waits_for_other_jobs(&self, idle_since: Option<Instant>) -> Result<bool, LockError> {
        let others = &self.other_jobs;
        let is_outdated = || others.probed.get() < idle_since;
        Ok(self.directory.is_some()
            && (others.are_unknown.get()
                || is_outdated() && self.is_any(TaskStatus::Elsewhere, &mut 0)?))
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
        let others = &self.other_jobs;
        let start = Instant::now();
        if others.next_probe.get().is_some_and(|next| start < next) {
            return Ok(false);
        }
        let pause = LONGEST_PAUSE.min(directory.stale_after() / 4);
        others.probed.set(Some(start));
        others.next_probe.set(Some(start + pause));
        let (mut opened, mut are_unknown) = (false, false);
        let mut from = 0;
        while let Some(task) = self.table.find(&self.object, TaskStatus::Elsewhere, from)? {
            from = task + 1;
            let status = match directory.probe(task) {
                Ok(Probe::Runs) => continue,
                Ok(Probe::Unknown(sign)) => {
                    are_unknown |= others.may_be_dead(task, sign, directory.stale_after() / 2);
                    continue;
                }
                Ok(Probe::Is(state)) => TaskStatus::from(state),
                Err(error) if directory.is_flaw(task, &error) => {
                    // Also in a strict batch, which has looked for flaws when it was made.
                    self.problems.borrow_mut().push((task, error));
                    TaskStatus::Invalid
                }
                Err(error) => return Err(self.file_system_error(error)),
            };
            others.signs.borrow_mut().remove(&task);
            opened |= status == TaskStatus::Open;
            self.table.set(&self.object, task, status)?;
        }
        others.are_unknown.set(are_unknown);
        let pause = pause.max(start.elapsed() * PAUSE_FACTOR);
        others.next_probe.set(Some(Instant::now() + pause));
        Ok(opened)
    }

    /// Whether no task is open or taken. One look at each task: between two, it may have been opened and taken
    /// again.
    fn is_each_ended(&self) -> Result<bool, LockError> {
        let counts = self.table.counts(&self.object)?;
        let left = [TaskStatus::Open, TaskStatus::Taken].map(|status| counts[status as usize]);
        Ok(left == [0, 0])
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
}
