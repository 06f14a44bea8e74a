//! What could be done about a task that another job had.

use crate::batch::State;
use crate::batch::directory::acquire::{Fate, Verdict, Want};
use crate::batch::directory::claim::Again;
use crate::batch::directory::{Directory, DirectoryError};

impl Directory {
    /// What has become of a task, as far as a job that looks for work is concerned: open if it
    /// could claim it; none as long as somebody has it who lives, or may live.
    pub(crate) fn probe(&self, task: usize) -> Result<Option<State>, DirectoryError> {
        let folder = self.shared.folder(task);
        let want = Want::Task(Again::default());
        let verdict = self.shared.judge_state(&folder, want, &Fate::Unseen)?;
        if let Verdict::LeaveOver(state) = verdict {
            return Ok(Some(state));
        }
        let fate = self.shared.last(&folder, 0)?.fate;
        if let Fate::Alive(_) = fate {
            return Ok(None);
        }
        // It may have been finished before the claim was released.
        Ok(match self.shared.judge_state(&folder, want, &fate)? {
            Verdict::LeaveOver(state) => Some(state),
            Verdict::Take(_) => Some(State::Open),
            Verdict::LeaveRunning | Verdict::Look => None,
        })
    }
}
