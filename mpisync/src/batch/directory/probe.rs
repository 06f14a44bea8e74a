//! What has become of a task that another job runs, for a job that looks for work.

use crate::batch::State;
use crate::batch::directory::claim::{Again, Purpose, Verdict};
use crate::batch::directory::claimant::Fate;
use crate::batch::directory::{Directory, DirectoryError};
use std::time::Duration;

/// A task that another job runs, or ran when it died.
#[derive(Debug)]
pub(crate) enum Probe {
    /// It is in this state; open if this job could claim it.
    Is(State),
    /// A job runs it that is alive.
    Runs,
    /// A job runs it that is alive if this sign changes, and is dead if it stays the same for long.
    Unknown(Sign),
}

/// A sign of life of a job: the number of its claim, and the time of its last heartbeat.
pub(crate) type Sign = (u64, Duration);

impl Directory {
    /// Looks at a task that another job has. Changes nothing.
    pub(crate) fn probe(&self, task: usize) -> Result<Probe, DirectoryError> {
        let folder = self.shared.folder(task);
        let purpose = Purpose::Run(Again::default());
        let verdict = self.shared.judge_state(&folder, purpose, &Fate::Unseen)?;
        if let Verdict::LeaveOver(state) = verdict {
            return Ok(Probe::Is(state));
        }
        let (number, fate) = self.shared.highest_claim(&folder, 0)?;
        if let Fate::Alive(alive) = fate {
            // Heartbeats come twice in this time, unless the claim has passed a time limit.
            let is_fresh = alive.claimant.age < self.stale_after() / 2;
            let goes_on = is_fresh && self.shared.options.task_timeout.is_none();
            return Ok(match alive.is_certain && goes_on {
                true => Probe::Runs,
                false => Probe::Unknown((number, alive.heartbeat)),
            });
        }
        // It may have been finished before the claim was released.
        Ok(match self.shared.judge_state(&folder, purpose, &fate)? {
            Verdict::LeaveOver(state) => Probe::Is(state),
            Verdict::Take(_) => Probe::Is(State::Open),
            // Of pshmem, which gives no heartbeats.
            Verdict::LeaveRunning | Verdict::Judge => Probe::Unknown((number, Duration::ZERO)),
        })
    }
}
