//! A task that is one's own for a time, and how it becomes that.
//!
//! # The protocol
//! The claims of a task are files in its folder, `claim.1`, `claim.2` and so on. Each is written
//! under a name of its own and then given this one with `link`, which one job alone can do on every
//! file system that several hosts may use (NFS, Lustre, GPFS, BeeGFS), so that it is whole from the
//! beginning; and none is ever removed. So making number *n* + 1 is a compare-and-swap on *n*. The
//! highest claim is the one that counts.
//!
//! A claim says which process made it (host, boot, PID namespace, PID, start time), and its
//! modification time is its last *heartbeat*. While a job holds the claim, one of its threads gives
//! a heartbeat every quarter of [`stale_after`](super::Options::stale_after). A claim is
//! - *released* if its last heartbeat was in 1970: the job is through with the task, and has written its state before;
//! - *dead* if its last heartbeat is older than `stale_after`, or if it was made on this host, since it was booted, and the
//!   process is gone; also if its heartbeat is dated further ahead than `stale_after`, and no other one has come for that long
//!   by the watch of the job that looks;
//! - *alive* otherwise, also where it does not say yet who made it.
//!
//! To take a task, a job
//! 1. judges the highest claim *n*, and leaves the task alone if it is alive; a job that has not looked yet begins with the
//!    claim 0, which nobody ever had;
//! 2. reads the state, and leaves the task alone if there is nothing to run;
//! 3. makes claim *n* + 1; where that is there already, it begins again and finds a higher claim;
//! 4. looks whether there is a claim *n* + 2, and writes RUNNING if not.
//!
//! To settle it, the job looks whether there is a claim *n* + 2, writes the state into a file of
//! its own, gives that its name, and then releases its claim. Where the file cannot be written, the
//! file system being full, say, the job *abandons* the claim: it gives no heartbeat any more, and
//! makes the last one so old that the claim is dead. Where the name cannot be given, nobody knows
//! whether it was, or will be: then the claim ages. The same holds for RUNNING in step 4; but who
//! lets go of a task before that has to abandon the claim only where *n* was dead. RUNNING with a
//! released claim would count as a task of pshmem, which others leave alone for long.
//!
//! # Why no two jobs have a task at once
//! Say that a job *keeps up* if none of its claims goes without a heartbeat for as long as
//! `stale_after`. Then:
//!
//! - Number *n* + 1 is made only after *n* was judged to be released or dead, and it is made once. A claim that is released
//!   or dead stays so. So among the claims of jobs that keep up one at most is alive.
//! - Who looks takes the time before it reads the claim, and never a later one than the file system has. So a look that takes
//!   long only delays when a job is taken for dead, and is never taken for the silence of that job.
//! - Only who has the living claim writes the state. The state that is read in step 2 is from after the judgement, so the
//!   holder of *n* has written it or will never write; and if *n* + 1 can be made in step 3, nobody had that in between. So
//!   the state has not changed since, and need not be read again. A task that somebody else has run meanwhile is found by the
//!   judgement that follows a failed step 3.
//! - Who abandons a claim has changed nothing of the state that it wrote in step 4, or that the dead holder of *n* left, and
//!   never writes again: it is as a job that was killed then. Others take the task at once, if `stale_after` is not longer than the time since 1970.
//! - Who sees a heartbeat twice, `stale_after` apart by its own watch, and no other one in between, knows that the holder did
//!   not keep up, whatever the date says.
//! - A person may set a state by force: that makes claim *n* + 1 though *n* is alive. If the holder of *n* lives for all that,
//!   it finds that it lost the task, as one that did not keep up. It looks before each state that it writes.
//! - A job that ends or is killed gives no heartbeats any more. On the same host the next one takes its tasks at once,
//!   elsewhere after `stale_after`.
//!
//! A job that does *not* keep up (it was stopped, or the file system hung) may be taken for dead
//! while its task still runs. Nobody can help that, but it has no effect on the state: who makes a
//! claim looks again before it writes RUNNING, and after it if that took long, and who settles
//! looks whether it still has the task ([`DirectoryError::Lost`]). What is left is a job that is
//! stopped between this look and the renaming right behind it, for longer than `stale_after`.
//!
//! # What pshmem does
//! It writes the same state files and makes no claims. A task that it runs is RUNNING with no
//! claim, or with one that was released. Such a task is left alone until its state file is older
//! than `stale_after`, or [`Again::running`] asks for it.
//!
//! # The file operations
//! Of a task that is open and was never claimed, which is then done:
//!
//! | step | operations | number |
//! | --- | --- | --- |
//! | read the state | `open` ROOT/NAME, `openat` state, `fstat`, `read`, `close` | 5 |
//! | make the claim | `openat` a temporary file (`O_CREAT`, `O_EXCL`), `write`, `linkat` to claim.1, `unlinkat` | 4 |
//! | write what is to be RUNNING | `openat` a temporary file, `write`, `fsync`\*, `close` | 4 |
//! | look for a later claim | `fstatat` claim.2 | 1 |
//! | give it its name | `renameat` to state | 1 |
//! | look for a later claim | `fstatat` claim.2 | 1 |
//! | write DONE | `openat` a temporary file, `write`, `fsync`\*, `close`, `renameat` to state | 5 |
//! | have the name on disk | `fsync`\* of ROOT/NAME | 1 |
//! | release | `utimensat` of claim.1, `close` of it and of ROOT/NAME | 3 |
//!
//! That is 25 operations, and 22 without those marked \*, which
//! [`durable`](super::Options::durable) asks for. The renaming to RUNNING need not be on disk: if
//! the machine fails the task is open again, and it has to be run again either way. A task that is
//! over already costs the first 5, and the `close` of ROOT/NAME.

use crate::batch::State;
use crate::batch::directory::acquire::{Acquired, Want};
use crate::batch::directory::claimant::Claimant;
use crate::batch::directory::error::DirectoryError;
use crate::batch::directory::file::{Folder, Staged};
use crate::batch::directory::heartbeat::Pulse;
use crate::batch::directory::step::step;
use crate::batch::directory::{Directory, Shared};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Which tasks may be taken besides those that are open. None, if not said.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Again {
    /// Those that run for all that their state says, but without a heartbeat. Tasks of jobs that
    /// are known to be dead are always taken.
    pub running: bool,
    /// Those that have failed.
    pub failed: bool,
    /// Those that are done.
    pub done: bool,
}

/// What became of an attempt to take a task.
#[derive(Debug)]
#[must_use = "a claim that is dropped opens the task again"]
pub enum Claimed {
    /// It is this job's, and was in this state before.
    Mine(Claim, State),
    /// There is nothing to run: it is done, or has failed, or is invalid.
    Over(State),
    /// Another job has it. Which one is not known where its state says RUNNING and there is no
    /// claim.
    Taken(Option<Claimant>),
}

/// A task that is this job's.
///
/// The job gives heartbeats for it until it is settled. Where it is dropped without that, the task
/// is open again; an error is ignored then, and the task is found as that of a dead job.
#[must_use = "a claim that is dropped opens the task again"]
pub struct Claim {
    pub(super) shared: Arc<Shared>,
    pub(super) folder: Folder,
    pub(super) pulse: Arc<Pulse>,
    pub(super) task: usize,
    pub(super) number: u64,
    /// From before it was made.
    pub(super) since: Instant,
    /// Whether the state is that of a job that is dead if this one goes no further: of the one
    /// before, or of this one.
    pub(super) is_of_dead: bool,
    pub(super) is_settled: bool,
}

impl Directory {
    /// Takes a task, if it is open, or may be taken again.
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
    /// and [`NotAFile`](DirectoryError::NotAFile) where the state or the claims cannot be read,
    /// [`Missing`](DirectoryError::Missing) where the task has no folder, and those of the file
    /// system.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn claim(&self, task: usize, again: Again) -> Result<Claimed, DirectoryError> {
        loop {
            match self.shared.acquire(task, Want::Task(again))? {
                Acquired::Over(state) => return Ok(Claimed::Over(state)),
                Acquired::Taken(by) => return Ok(Claimed::Taken(by)),
                Acquired::Mine(mut claim, was) => {
                    // It can be read, or the task would not have been taken.
                    let was = was.unwrap_or(State::Open);
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

    /// Sets the state of a task, whatever it was; the reason for a failure is gone after it.
    ///
    /// # Errors
    /// [`Taken`](DirectoryError::Taken) where a living job has the task,
    /// [`Missing`](DirectoryError::Missing) where it has no folder, and those of the file system.
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn set(&self, task: usize, state: State) -> Result<(), DirectoryError> {
        self.set_if(task, state, |_| true).map(drop)
    }

    /// [`set`](Self::set) that leaves the task as it is unless `may` is true of the state that it
    /// is in; whether it was set. A state that cannot be read counts as invalid. No job comes in
    /// between.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    ///
    /// # Panics
    /// If there is no task of that number.
    pub fn set_if(
        &self,
        task: usize,
        state: State,
        may: impl Fn(State) -> bool,
    ) -> Result<bool, DirectoryError> {
        self.set_as(Want::Any, task, state, may)
    }

    /// [`set_if`](Self::set_if) for a task that a job has which looks alive and is known to be
    /// gone: one whose claim is dated in the future, or that ran in a container. If that job lives
    /// for all that, it finds that the task is [lost](DirectoryError::Lost).
    ///
    /// # Errors
    /// Those of [`set`](Self::set), but for [`Taken`](DirectoryError::Taken).
    ///
    /// # Panics
    /// If there is no task of that number.
    ///
    /// ```
    /// use mpisync::batch::State;
    /// use mpisync::batch::directory::{Again, Claimed, Directory, DirectoryError, Options};
    ///
    /// # let root = std::env::temp_dir().join(format!("mpisync-force-{}", std::process::id()));
    /// let tasks = Directory::create(&root, &["monday".to_owned()], Options::default())?;
    /// let Claimed::Mine(claim, _) = tasks.claim(0, Again::default())? else {
    ///     panic!("it is open");
    /// };
    /// assert!(tasks.force(0, State::Open, |state| state == State::Running)?);
    /// let lost = claim.settle(State::Done, None);
    /// assert!(matches!(lost, Err(DirectoryError::Lost { .. })));
    /// assert_eq!(tasks.state(0)?, State::Open);
    /// # std::fs::remove_dir_all(&root).unwrap();
    /// # Ok::<(), DirectoryError>(())
    /// ```
    pub fn force(
        &self,
        task: usize,
        state: State,
        may: impl Fn(State) -> bool,
    ) -> Result<bool, DirectoryError> {
        // A claim would take the task away from a living job.
        let was = match self.state(task) {
            Err(error) if error.is_about_contents() => State::Invalid,
            was => was?,
        };
        if !may(was) {
            return Ok(false);
        }
        self.set_as(Want::Force, task, state, may)
    }

    fn set_as(
        &self,
        want: Want,
        task: usize,
        state: State,
        may: impl Fn(State) -> bool,
    ) -> Result<bool, DirectoryError> {
        match self.shared.acquire(task, want)? {
            Acquired::Mine(claim, was) if !may(was.unwrap_or(State::Invalid)) => {
                claim.let_go();
                claim.leave();
                Ok(false)
            }
            Acquired::Mine(claim, was) => {
                let removed = match was {
                    Some(State::Open) => Ok(()),
                    _ => claim.folder.remove_reason(),
                };
                match removed {
                    Ok(()) => claim.settle(state, None).map(|()| true),
                    Err(error) => {
                        claim.let_go();
                        claim.leave();
                        Err(error)
                    }
                }
            }
            Acquired::Taken(Some(by)) => Err(DirectoryError::Taken {
                path: self.shared.folder(task).path(),
                by,
            }),
            Acquired::Taken(None) | Acquired::Over(_) => {
                unreachable!("every task that no living job has is taken here")
            }
        }
    }
}

impl Claim {
    /// Says what became of the task, and lets go of it. The reason is for those that have failed,
    /// and is ignored otherwise; 64 KiB of it are kept.
    ///
    /// # Errors
    /// [`Lost`](DirectoryError::Lost) where another job has taken the task over, and those of the
    /// file system. The task is found as that of a dead job then, unless another job has it: at
    /// once where nothing could be written.
    pub fn settle(mut self, state: State, reason: Option<&str>) -> Result<(), DirectoryError> {
        self.is_settled = true;
        self.finish(state, reason)
    }

    /// The number of the task.
    pub fn task(&self) -> usize {
        self.task
    }

    /// Writes RUNNING. False if the task is another job's by now. It is let go of where there is an
    /// error, as far as that can be.
    fn begin(&mut self, was: State) -> Result<bool, DirectoryError> {
        match self.stage_running(was) {
            // Where this fails nobody knows whether RUNNING is there, or will be: the claim has to age.
            Ok(Some(staged)) => staged.put()?,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.let_go();
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
            self.let_go();
        }
        is_lost.map(|is_lost| !is_lost)
    }

    /// Writes what is to be RUNNING. `None` if the task is another job's by now, be it by force.
    fn stage_running(&self, was: State) -> Result<Option<Staged<'_>>, DirectoryError> {
        let staged = self.stage(State::Running)?;
        if self.is_lost()? {
            return Ok(None);
        }
        if was != State::Open {
            self.folder.remove_reason()?;
        }
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
            // That it is lost is worse than that nobody knows to whom.
            let by = self.shared.claimant(&self.folder, self.number + 1);
            let by = by.unwrap_or_default();
            return Err(DirectoryError::Lost { path, by });
        }
        let (reason, outcome) = match self.stage_outcome(state, reason) {
            Ok(staged) => staged,
            Err(error) => {
                self.let_go();
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
        // The state is there, which is what counts; a claim that cannot be released goes stale.
        let _ = self.pulse.release();
        Ok(())
    }

    /// Writes what is to be the reason and the state. Nobody sees it yet.
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

    /// Lets go of it without changing the state. Others find the task as it was before; where this
    /// job wrote RUNNING, or a dead one did, that is the task of a dead job.
    pub(super) fn let_go(&self) {
        let ended = match self.is_of_dead {
            true => self.pulse.abandon(),
            false => self.pulse.release(),
        };
        // A claim whose last heartbeat is not written goes stale.
        let _ = ended;
    }

    /// Ends its heartbeats, and writes nothing.
    fn leave(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_settled {
            // There is nobody to tell.
            let _ = self.finish(State::Open, None);
        }
        self.shared.heart.stop(&self.pulse);
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
