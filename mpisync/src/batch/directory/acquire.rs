//! The steps by which a claim is made; see the module `claim` for the protocol.

use crate::batch::State;
use crate::batch::directory::Shared;
use crate::batch::directory::claim::{Again, Claim};
use crate::batch::directory::claimant::{Claimant, Owner};
use crate::batch::directory::error::DirectoryError;
use crate::batch::directory::file::{Folder, Found, claim_name};
use crate::batch::directory::heartbeat::Pulse;
use crate::batch::directory::open::Opened;
use crate::batch::directory::step::step;
use crate::shm::lock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As much of a claim as is read; more than any claim has.
const LONGEST: usize = 4096;

/// What to take a task for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want {
    /// To run it.
    Task(Again),
    /// To open it, if it is invalid.
    Invalid,
    /// To set its state, whatever it is.
    Any,
    /// To set its state, even if a living job has it.
    Force,
}

/// What became of it.
pub(super) enum Acquired {
    /// The state it was in, if it can be read.
    Mine(Claim, Option<State>),
    Over(State),
    Taken(Option<Claimant>),
}

/// The highest claim of a task, as far as this job has looked.
#[derive(Debug)]
pub(super) struct Last {
    number: u64,
    pub(super) fate: Fate,
}

/// What became of a claim.
#[derive(Debug)]
pub(super) enum Fate {
    /// Not looked at. It is not made use of, but that the next claim cannot be made if there is
    /// one.
    Unseen,
    /// There is none.
    Absent,
    Released,
    Dead,
    Alive(Claimant),
}

/// When a claim is looked at: not after this.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// The file system's time.
    time: Duration,
    at: Instant,
}

/// What to do about a task, by its state and the highest claim.
pub(super) enum Verdict {
    Take(Option<State>),
    LeaveOver(State),
    LeaveRunning,
    /// It depends on the claims, which have to be looked at.
    Look,
}

impl Shared {
    /// Makes a claim, without writing any state.
    pub(super) fn acquire(
        self: &Arc<Self>,
        task: usize,
        want: Want,
    ) -> Result<Acquired, DirectoryError> {
        let folder = self.folder(task);
        let mut last = Last {
            number: 0,
            fate: Fate::Unseen,
        };
        loop {
            let known = match self.judge_state(&folder, want, &last.fate)? {
                Verdict::LeaveOver(state) => return Ok(Acquired::Over(state)),
                // Unless it runs since the claim was judged.
                Verdict::LeaveRunning => match last.number + 1 {
                    next if folder.has_claim(next)? => next,
                    _ => return Ok(Acquired::Taken(None)),
                },
                Verdict::Look => 0,
                Verdict::Take(was) => {
                    step("the state is read");
                    let number = last.number + 1;
                    let since = Instant::now();
                    if let Some(pulse) = self.make(&folder, number)? {
                        let claim = Claim {
                            shared: Arc::clone(self),
                            folder,
                            pulse,
                            task,
                            number,
                            since,
                            is_of_dead: matches!(last.fate, Fate::Dead),
                            is_settled: false,
                        };
                        return Ok(Acquired::Mine(claim, was));
                    }
                    number
                }
            };
            last = self.last(&folder, known)?;
            match last.fate {
                Fate::Alive(claimant) if !matches!(want, Want::Force) => {
                    return Ok(Acquired::Taken(Some(claimant)));
                }
                _ => step("the claim is judged"),
            }
        }
    }

    pub(super) fn judge_state(
        &self,
        folder: &Folder,
        want: Want,
        last: &Fate,
    ) -> Result<Verdict, DirectoryError> {
        let may_be_old = matches!(want, Want::Task(again) if !again.running)
            && matches!(last, Fate::Absent | Fate::Released);
        // Before the state is read, for the time until then must not count as its age.
        let now = match may_be_old {
            true => Some(self.now()?),
            false => None,
        };
        let found = match folder.state() {
            Err(error) if matches!(want, Want::Any | Want::Force) && error.is_about_contents() => {
                return Ok(Verdict::Take(None));
            }
            found => found?,
        };
        step("the state is found");
        // Without a state it has not been begun; and without a folder it cannot be claimed, which says so.
        let state = found.as_ref().map_or(State::Open, |found| found.state);
        let again = match want {
            Want::Any | Want::Force => return Ok(Verdict::Take(Some(state))),
            Want::Invalid if state == State::Invalid => return Ok(Verdict::Take(Some(state))),
            Want::Invalid => return Ok(Verdict::LeaveOver(state)),
            Want::Task(again) => again,
        };
        Ok(match (state, last) {
            (State::Invalid, _) => Verdict::LeaveOver(state),
            (State::Done, _) if !again.done => Verdict::LeaveOver(state),
            (State::Failed, _) if !again.failed => Verdict::LeaveOver(state),
            (State::Running, Fate::Unseen) => Verdict::Look,
            (State::Running, Fate::Absent | Fate::Released)
                if now.is_some_and(|now| !self.is_old(found.as_ref(), now)) =>
            {
                Verdict::LeaveRunning
            }
            _ => Verdict::Take(Some(state)),
        })
    }

    /// Whether a state was written so long ago that a living job would have given a heartbeat
    /// since.
    fn is_old(&self, found: Option<&Found>, now: Duration) -> bool {
        found.is_some_and(|found| now.saturating_sub(found.written) >= self.options.stale_after)
    }

    /// Makes the claim with this number, unless there is one.
    fn make(&self, folder: &Folder, number: u64) -> Result<Option<Arc<Pulse>>, DirectoryError> {
        let path = || folder.path().join(claim_name(number));
        // Not after it, for then there would be a claim that nobody keeps alive.
        let started = self.heart.start();
        started.map_err(|error| DirectoryError::io(&path(), "start a thread for", error))?;
        let text = self.owner().text();
        let unique = self.owner().unique_name();
        let Some(file) = folder.create_claim(number, &text, &unique)? else {
            return Ok(None);
        };
        step("the claim is made");
        Ok(Some(self.heart.add(file)))
    }

    /// The highest claim, which is number `known` or above it.
    pub(super) fn last(&self, folder: &Folder, known: u64) -> Result<Last, DirectoryError> {
        let number = folder.last_claim(known)?;
        let fate = match number {
            0 => Fate::Absent,
            number => {
                // Before the claim is read, for the time until then must not count as its age.
                let look = Look {
                    time: self.now()?,
                    at: Instant::now(),
                };
                match folder.claim(number)? {
                    Some(claim) => {
                        step("the claim is read");
                        self.judge(&claim, folder.path().join(claim_name(number)), look)?
                    }
                    // Somebody has cleaned up.
                    None => Fate::Dead,
                }
            }
        };
        Ok(Last { number, fate })
    }

    /// Who has the task, if somebody who lives has it.
    pub(super) fn claimant(
        &self,
        folder: &Folder,
        known: u64,
    ) -> Result<Option<Claimant>, DirectoryError> {
        match self.last(folder, known)?.fate {
            Fate::Alive(claimant) => Ok(Some(claimant)),
            _ => Ok(None),
        }
    }

    /// Judges a claim that was read after `look`.
    fn judge(&self, claim: &Opened, path: PathBuf, look: Look) -> Result<Fate, DirectoryError> {
        let heartbeat = claim.modified;
        if heartbeat.is_zero() {
            return Ok(Fate::Released);
        }
        let (now, stale_after) = (look.time, self.options.stale_after);
        // A heartbeat from the future is one of a host whose clock is ahead.
        let age = now.saturating_sub(heartbeat);
        let is_far_ahead = heartbeat.saturating_sub(now) > stale_after;
        if age >= stale_after || (is_far_ahead && self.is_silent(&path, heartbeat, look.at)) {
            return Ok(Fate::Dead);
        }
        let text = claim.read(LONGEST);
        let text = text.map_err(|error| DirectoryError::io(&path, "read", error))?;
        Ok(match Owner::read(&String::from_utf8_lossy(&text)) {
            Some(owner) if owner.is_gone(self.owner()) => Fate::Dead,
            owner => Fate::Alive(Claimant {
                pid: owner.as_ref().map_or(0, |owner| owner.process.id),
                host: owner.map(|owner| owner.host).unwrap_or_default(),
                age,
            }),
        })
    }

    /// Whether no heartbeat has come since this one was first seen, for as long as a job may be
    /// silent. It was read after `at`.
    fn is_silent(&self, path: &Path, heartbeat: Duration, at: Instant) -> bool {
        let mut ahead = lock(&self.ahead);
        // The first look counts from after it, and the last one from before it.
        let seen = (heartbeat, Instant::now());
        let (before, since) = *ahead.entry(path.to_owned()).or_insert(seen);
        if before != heartbeat {
            ahead.insert(path.to_owned(), seen);
            return false;
        }
        at.saturating_duration_since(since) >= self.options.stale_after
    }

    /// The file system's time. How old the look at it may be only delays a little when a claim is
    /// taken for dead.
    pub(super) fn now(&self) -> Result<Duration, DirectoryError> {
        let recent = self.options.stale_after / 8;
        self.clock.now(&self.root, self.owner(), recent)
    }
}
