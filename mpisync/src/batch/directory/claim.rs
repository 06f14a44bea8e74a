//! Claims: how a job takes a task for a time, and how it settles it.
//!
//! # The protocol
//! The claims of a task are files in its folder, `claim.1`, `claim.2` and so on. A job writes each
//! under a name of its own and then gives it this one with `link`. Only one job can do that, on
//! every file system that several hosts may use (NFS, Lustre, GPFS, BeeGFS), and the claim is
//! complete from the beginning. No claim is ever removed. So making number *n* + 1 is a
//! compare-and-swap on *n*. Only the highest claim counts.
//!
//! A claim names the process that made it (host, boot, PID namespace, PID, start time), and its
//! modification time is its last *heartbeat*. While a job holds the claim, one of its threads gives
//! a heartbeat every quarter of [`stale_after`](super::Options::stale_after). A claim is
//! - *released* if its last heartbeat was in 1970: the job has written the state of the task before
//!   and is done with it;
//! - *dead* if its last heartbeat is older than `stale_after`, or if it was made on this host,
//!   since it was booted, and the process is gone; also if its heartbeat is dated further ahead
//!   than `stale_after`, and no other one has come for that long by the clock of the job that
//!   looks;
//! - *alive* otherwise, also if it does not name its process yet.
//!
//! To take a task, a job
//! 1. judges the highest claim *n*, and leaves the task alone if it is alive; a job that has not
//!    looked yet begins with the claim 0, which no job ever had;
//! 2. reads the state, and leaves the task alone if there is nothing to run;
//! 3. makes claim *n* + 1; if that exists already, it begins again and finds a higher claim;
//! 4. checks whether there is a claim *n* + 2, and writes RUNNING if not.
//!
//! To settle it, the job checks whether there is a claim *n* + 2, writes the state into a file of
//! its own, renames that to `state`, and then releases its claim. If the file cannot be written,
//! for example because the file system is full, the job *abandons* the claim: it gives no more
//! heartbeats and makes the last one so old that the claim is dead. If the renaming fails, it is
//! not known whether it has happened or will; then the claim ages. The same holds for RUNNING in
//! step 4; but a job that gives a task up before that step abandons the claim only if *n* was dead.
//! RUNNING with a released claim would count as a task of pshmem, which other jobs leave alone for
//! long.
//!
//! # Why no two jobs have a task at once
//! A job *keeps up* if none of its claims goes without a heartbeat for as long as `stale_after`.
//! Then:
//!
//! - Number *n* + 1 is made only after *n* was judged to be released or dead, and it is made once.
//!   A claim that is released or dead stays so. So at most one of the claims of jobs that keep up
//!   is alive.
//! - A job that judges a claim takes the time before it reads the claim, and never a later time
//!   than that of the file system. So a slow check only delays the judgement that a job is dead,
//!   and is never taken for the silence of that job.
//! - Only the holder of the living claim writes the state. The state of step 2 is read after the
//!   judgement, so the holder of *n* has written it or will never write; and if *n* + 1 can be made
//!   in step 3, no job had that in between. So the state has not changed since, and need not be
//!   read again. If another job has run the task meanwhile, step 3 fails, and the judgement that
//!   follows finds that.
//! - A job that abandons a claim has changed nothing of the state that it wrote in step 4, or that
//!   the dead holder of *n* left, and never writes again, as if it had been killed then. Others
//!   take the task at once, if `stale_after` is not longer than the time since 1970.
//! - A job that sees the same heartbeat twice, `stale_after` apart by its own clock, and no other
//!   one in between, knows that the holder did not keep up, whatever the date says.
//! - A person may set a state by force: that makes claim *n* + 1 though *n* is alive. If the holder
//!   of *n* is alive after all, it finds that it lost the task, as a job that did not keep up does.
//!   It checks before each state that it writes.
//! - A job that ends or is killed gives no more heartbeats. On the same host the next job takes its
//!   tasks at once, on others after `stale_after`.
//!
//! A job that does *not* keep up (it was stopped, or the file system hung) may be taken for dead
//! while its task still runs. That cannot be prevented, but it has no effect on the state: a job
//! that makes a claim checks again before it writes RUNNING, and after it if that took long, and a
//! job that settles checks whether it still has the task ([`DirectoryError::Lost`]). One case
//! remains: a job that is stopped for longer than `stale_after` between this check and the renaming
//! directly after it.
//!
//! # Tasks of pshmem
//! pshmem writes the same state files and makes no claims. A task that it runs is RUNNING with no
//! claim, or with one that was released. Such a task is left alone until its state file is older
//! than `stale_after`, or [`Again::running`] requests it.
//!
//! # Tries
//! If the number of tries is limited, a job writes the number of its try into the file `tries` between
//! the check and the renaming to RUNNING, which takes four operations more, and reads it before.
//!
//! # The file operations
//! For a task that is open and was never claimed, and that is then done:
//!
//! | step | operations | number |
//! | --- | --- | --- |
//! | read the state | `open` ROOT/NAME, `openat` state, `fstat`, `read`, `close` | 5 |
//! | make the claim | `openat` a temporary file (`O_CREAT`, `O_EXCL`), `write`, `linkat` to claim.1, `unlinkat` | 4 |
//! | write RUNNING into a file | `openat` a temporary file, `write`, `fsync`\*, `close` | 4 |
//! | check for a later claim | `fstatat` claim.2 | 1 |
//! | rename it | `renameat` to state | 1 |
//! | check for a later claim | `fstatat` claim.2 | 1 |
//! | write DONE | `openat` a temporary file, `write`, `fsync`\*, `close`, `renameat` to state | 5 |
//! | flush the name to disk | `fsync`\* of ROOT/NAME | 1 |
//! | release | `utimensat` of claim.1, `close` of it and of ROOT/NAME | 3 |
//!
//! That is 25 operations, and 22 without those marked \*, which
//! [`durable`](super::Options::durable) requests. The renaming to RUNNING need not be on disk: if
//! the machine fails, the task is open again, and it has to be run again either way. A task that is
//! over already costs the first 5, and the `close` of ROOT/NAME.

use crate::batch::State;
use crate::batch::directory::claimant::{Claimant, Fate};
use crate::batch::directory::error::DirectoryError;
use crate::batch::directory::file::{Folder, Found, Staged, claim_name};
use crate::batch::directory::heartbeat::Heartbeat;
use crate::batch::directory::{Directory, Shared, step};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The tasks that may be taken in addition to open ones. Defaults to none.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Again {
    /// Tasks whose state is RUNNING and that have no heartbeat. Tasks of jobs that are known to be
    /// dead are always taken.
    pub running: bool,
    /// Tasks that failed.
    pub failed: bool,
    /// Tasks that are done.
    pub done: bool,
}

/// The result of an attempt to take a task.
#[derive(Debug)]
#[must_use = "a claim that is dropped opens the task again"]
pub enum Claimed {
    /// This job has it. The previous state.
    Mine(Claim, State),
    /// The task is not to be run: it is done, failed or invalid.
    Over(State),
    /// Another job has it. `None` if its state is RUNNING and no claim names the job.
    Taken(Option<Claimant>),
}

/// A task that this job has.
///
/// The job gives heartbeats for it until it is settled. Dropping it unsettled opens the task again;
/// an error is ignored then, and other jobs find the task as that of a dead job.
#[must_use = "a claim that is dropped opens the task again"]
pub struct Claim {
    pub(super) shared: Arc<Shared>,
    pub(super) folder: Folder,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) task: usize,
    pub(super) number: u64,
    /// An instant before it was made.
    pub(super) since: Instant,
    /// Whether the state that is written now belongs to a dead job if this one stops here: to the
    /// holder before, or to this job.
    pub(super) is_of_dead: bool,
    /// The number of this try, if tries are counted.
    pub(super) attempt: Option<u32>,
    pub(super) is_settled: bool,
}

/// The purpose of taking a task.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Run(Again),
    /// To open it, if it is invalid.
    OpenInvalid,
    /// To set its state, whatever the current one.
    Set,
    /// To set its state, even if a living job has it.
    Force,
}

/// The result of [`acquire`](Shared::acquire).
pub(super) enum Acquired {
    /// With the state that it was in, if that can be read.
    Mine(Claim, Option<State>),
    Over(State),
    Taken(Option<Claimant>),
}

/// The next step for a task, by its state and the highest claim.
pub(super) enum Verdict {
    Take(Option<State>),
    LeaveOver(State),
    LeaveRunning,
    /// It depends on the highest claim, which has to be judged first.
    Judge,
}

impl Directory {
    /// Takes a task, if it is open or `again` allows it.
    ///
    /// ```
    /// use mpisync::batch::State;
    /// use mpisync::batch::directory::{Again, Claimed, Directory, Options};
    ///
    /// # let root = std::env::temp_dir().join(format!("mpisync-claim-{}", std::process::id()));
    /// let names = ["monday".to_owned(), "tuesday".to_owned()];
    /// let tasks = Directory::create(&root, &names, Options::default())?;
    /// if let Claimed::Mine(claim, _) = tasks.claim(0, Again::default())? {
    ///     // The work.
    ///     claim.settle(State::Done, None)?;
    /// }
    /// assert_eq!(tasks.state(0)?, State::Done);
    /// # std::fs::remove_dir_all(&root).unwrap();
    /// # Ok::<(), mpisync::batch::directory::DirectoryError>(())
    /// ```
    ///
    /// # Errors
    /// [`UnknownState`](DirectoryError::UnknownState), [`HalfWritten`](DirectoryError::HalfWritten)
    /// and [`NotAFile`](DirectoryError::NotAFile) if the state or the claims cannot be read,
    /// [`Missing`](DirectoryError::Missing) if the task has no folder, and those of the file
    /// system.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn claim(&self, task: usize, again: Again) -> Result<Claimed, DirectoryError> {
        if again.failed && self.shared.has_failed_for_good(task)? {
            return Ok(Claimed::Over(State::Failed));
        }
        loop {
            match self.shared.acquire(task, Purpose::Run(again))? {
                Acquired::Over(state) => return Ok(Claimed::Over(state)),
                Acquired::Taken(by) => return Ok(Claimed::Taken(by)),
                Acquired::Mine(mut claim, was) => {
                    // It could be read, or the task would not have been taken.
                    let was = was.unwrap_or(State::Open);
                    match claim.count_try(was) {
                        Ok(None) => {}
                        Ok(Some(reason)) => match claim.settle(State::Failed, Some(&reason)) {
                            Ok(()) => return Ok(Claimed::Over(State::Failed)),
                            Err(DirectoryError::Lost { .. }) => continue,
                            Err(error) => return Err(error),
                        },
                        Err(error) => {
                            claim.withdraw();
                            claim.leave();
                            return Err(error);
                        }
                    }
                    match claim.begin(was) {
                        Ok(true) => return Ok(Claimed::Mine(claim, was)),
                        Ok(false) => claim.leave(),
                        Err(error) => {
                            claim.leave();
                            return Err(error);
                        }
                    }
                }
            }
        }
    }
}

impl Shared {
    /// Makes a claim. Writes no state.
    pub(super) fn acquire(
        self: &Arc<Self>,
        task: usize,
        purpose: Purpose,
    ) -> Result<Acquired, DirectoryError> {
        let folder = self.folder(task);
        let (mut last, mut fate) = (0, Fate::Unseen);
        loop {
            let known = match self.judge_state(&folder, purpose, &fate)? {
                Verdict::LeaveOver(state) => return Ok(Acquired::Over(state)),
                // Unless a job has claimed it since the highest claim was judged.
                Verdict::LeaveRunning if folder.has_claim(last + 1)? => last + 1,
                Verdict::LeaveRunning => return Ok(Acquired::Taken(None)),
                Verdict::Judge => 0,
                Verdict::Take(was) => {
                    step("the state is read");
                    let number = last + 1;
                    let since = Instant::now();
                    if let Some(heartbeat) = self.make(&folder, number)? {
                        let claim = Claim {
                            shared: Arc::clone(self),
                            folder,
                            heartbeat,
                            task,
                            number,
                            since,
                            is_of_dead: matches!(fate, Fate::Dead),
                            attempt: None,
                            is_settled: false,
                        };
                        return Ok(Acquired::Mine(claim, was));
                    }
                    number
                }
            };
            (last, fate) = self.highest_claim(&folder, known)?;
            match fate {
                Fate::Alive(alive) if !matches!(purpose, Purpose::Force) => {
                    return Ok(Acquired::Taken(Some(alive.claimant)));
                }
                _ => step("the claim is judged"),
            }
        }
    }

    pub(super) fn judge_state(
        &self,
        folder: &Folder,
        purpose: Purpose,
        fate: &Fate,
    ) -> Result<Verdict, DirectoryError> {
        let may_be_old = matches!(purpose, Purpose::Run(again) if !again.running)
            && matches!(fate, Fate::Absent | Fate::Released);
        // Before the state is read: how long the reading takes must not count as its age.
        let now = match may_be_old {
            true => Some(self.now()?),
            false => None,
        };
        let found = match folder.state() {
            Err(error)
                if matches!(purpose, Purpose::Set | Purpose::Force)
                    && error.is_about_contents() =>
            {
                return Ok(Verdict::Take(None));
            }
            found => found?,
        };
        step("the state is found");
        // A task without a state has not begun. One without a folder cannot be claimed, and the
        // error comes there.
        let state = found.as_ref().map_or(State::Open, |found| found.state);
        let again = match purpose {
            Purpose::Set | Purpose::Force => return Ok(Verdict::Take(Some(state))),
            Purpose::OpenInvalid if state == State::Invalid => {
                return Ok(Verdict::Take(Some(state)));
            }
            Purpose::OpenInvalid => return Ok(Verdict::LeaveOver(state)),
            Purpose::Run(again) => again,
        };
        Ok(match (state, fate) {
            (State::Invalid, _) => Verdict::LeaveOver(state),
            (State::Done, _) if !again.done => Verdict::LeaveOver(state),
            (State::Failed, _) if !again.failed => Verdict::LeaveOver(state),
            (State::Running, Fate::Unseen) => Verdict::Judge,
            (State::Running, Fate::Absent | Fate::Released)
                if now.is_some_and(|now| !self.is_old(found.as_ref(), now)) =>
            {
                Verdict::LeaveRunning
            }
            _ => Verdict::Take(Some(state)),
        })
    }

    /// Whether a state is so old that a living job would have given a heartbeat since.
    fn is_old(&self, found: Option<&Found>, now: Duration) -> bool {
        found.is_some_and(|found| now.saturating_sub(found.written) >= self.options.stale_after)
    }

    /// Makes the claim with this number; `None` if it exists already.
    fn make(&self, folder: &Folder, number: u64) -> Result<Option<Arc<Heartbeat>>, DirectoryError> {
        let path = || folder.path().join(claim_name(number));
        // Before the claim is made, which would otherwise have no heartbeats if this failed.
        let started = self.heartbeats.start();
        started.map_err(|error| DirectoryError::io(&path(), "start a thread for", error))?;
        let text = self.owner().text();
        let unique = self.owner().unique_name();
        let Some(file) = folder.create_claim(number, &text, &unique)? else {
            return Ok(None);
        };
        step("the claim is made");
        Ok(Some(self.heartbeats.add(file)))
    }
}

impl Claim {
    /// Writes the state of the task and releases the claim. The reason is kept only with
    /// [`State::Failed`], and at most 64 KiB of it.
    ///
    /// # Errors
    /// [`Lost`](DirectoryError::Lost) if another job has taken the task over, and those of the file
    /// system. Other jobs find the task as that of a dead job then, unless one has it already; at
    /// once if nothing could be written.
    pub fn settle(mut self, state: State, reason: Option<&str>) -> Result<(), DirectoryError> {
        self.is_settled = true;
        self.finish(state, reason)
    }

    /// The number of the task.
    pub fn task(&self) -> usize {
        self.task
    }

    /// The number of this try, counted from 1, if tries are counted.
    pub(crate) fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// Writes RUNNING. False if another job has the task by now. After an error the claim is
    /// withdrawn, as far as possible.
    fn begin(&mut self, was: State) -> Result<bool, DirectoryError> {
        match self.stage_running(was) {
            // If this fails, it is not known whether RUNNING is there or will be: the claim has to
            // age.
            Ok(Some(staged)) => staged.put()?,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.withdraw();
                return Err(error);
            }
        }
        self.is_of_dead = true;
        step("RUNNING is written");
        if !self.is_late() {
            return Ok(true);
        }
        let is_lost = self.is_lost();
        if is_lost.is_err() {
            self.withdraw();
        }
        is_lost.map(|is_lost| !is_lost)
    }

    /// Writes RUNNING into a file that is not renamed yet. `None` if another job has the task by
    /// now, even by force.
    fn stage_running(&self, was: State) -> Result<Option<Staged<'_>>, DirectoryError> {
        let staged = self.stage(State::Running)?;
        if self.is_lost()? {
            return Ok(None);
        }
        if was != State::Open {
            self.folder.remove_reason()?;
        }
        self.write_attempt()?;
        Ok(Some(staged))
    }

    /// Whether others may have taken this job for dead since it made the claim, with some margin.
    fn is_late(&self) -> bool {
        self.since.elapsed() >= self.shared.options.stale_after / 2
    }

    fn is_lost(&self) -> Result<bool, DirectoryError> {
        self.folder.has_claim(self.number + 1)
    }

    fn finish(&self, state: State, reason: Option<&str>) -> Result<(), DirectoryError> {
        if self.is_lost()? {
            let path = self.folder.path();
            // An unknown holder must not hide that the task is lost.
            let by = self.shared.claimant(&self.folder, self.number + 1);
            let by = by.unwrap_or_default();
            return Err(DirectoryError::Lost { path, by });
        }
        let (reason, outcome) = match self.stage_outcome(state, reason) {
            Ok(staged) => staged,
            Err(error) => {
                self.withdraw();
                return Err(error);
            }
        };
        if let Some(reason) = reason {
            reason.put()?;
        }
        outcome.put()?;
        step("the outcome is written");
        if self.shared.options.durable {
            self.folder.flush()?;
        }
        // The state counts, and it is written. A claim that cannot be released goes stale.
        let _ = self.heartbeat.release();
        Ok(())
    }

    /// Writes the reason and the state into files that are not renamed yet.
    fn stage_outcome(
        &self,
        state: State,
        reason: Option<&str>,
    ) -> Result<(Option<Staged<'_>>, Staged<'_>), DirectoryError> {
        let durable = self.shared.options.durable;
        let reason = match (state, reason) {
            (State::Failed, Some(reason)) => {
                let unique = self.shared.owner().unique_name();
                Some(self.folder.stage_reason(reason, &unique, durable)?)
            }
            _ => None,
        };
        Ok((reason, self.stage(state)?))
    }

    fn stage(&self, state: State) -> Result<Staged<'_>, DirectoryError> {
        let unique = self.shared.owner().unique_name();
        let durable = self.shared.options.durable;
        self.folder.stage_state(state, &unique, durable)
    }

    /// Gives the task up without changing its state. Others find it as it was before: as the task
    /// of a dead job, if this job or a dead one wrote RUNNING.
    pub(super) fn withdraw(&self) {
        let ended = match self.is_of_dead {
            true => self.heartbeat.abandon(),
            false => self.heartbeat.release(),
        };
        // A claim whose last heartbeat is not written goes stale.
        let _ = ended;
    }

    /// Ends the heartbeats. Writes nothing.
    pub(super) fn leave(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_settled {
            // A drop cannot return an error.
            let _ = self.finish(State::Open, None);
        }
        self.shared.heartbeats.stop(&self.heartbeat);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("task", &self.shared.names[self.task])
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
