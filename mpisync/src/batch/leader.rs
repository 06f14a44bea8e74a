//! What the first rank of a worker does for all of its ranks.

use crate::batch::vote::Vote;
use crate::batch::worker::Call;
use crate::batch::{Batch, BatchError};
use serde::Serialize;
use serde::de::DeserializeOwned;

impl Batch {
    /// Has the first rank of the worker do something, when it is through with the task before, and
    /// gives all of them what came of it. Collective in the worker.
    #[track_caller]
    pub(super) fn lead<T: Copy + Serialize + DeserializeOwned>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<Option<T>, BatchError>,
    ) -> Result<Option<T>, BatchError> {
        self.object.check_usable()?;
        if !self.worker.leads() {
            return self.follow();
        }
        let acted = self.get_ready().and_then(|()| act(self));
        if self.worker.has_others()
            && let Err(error) = self.worker.share(&Call::new(&acted))
        {
            self.drop_task(|| Vote::Open);
            return Err(error);
        }
        acted
    }

    fn get_ready(&mut self) -> Result<(), BatchError> {
        self.settle()?;
        if !self.worker.has_others() {
            return Ok(());
        }
        match &self.broken {
            Some(error) => Err(error.clone()),
            None => self.worker.check_present(),
        }
    }

    #[track_caller]
    fn follow<T: DeserializeOwned>(&mut self) -> Result<Option<T>, BatchError> {
        // A task that was forgotten.
        self.drop_task(|| Vote::Open);
        match self.worker.collect()? {
            Call::Value(value) => Ok(Some(value)),
            Call::Nothing => Ok(None),
            Call::Failed(found) => {
                let rank = self.worker.members()[0];
                Err(BatchError::OtherRank { rank, found })
            }
        }
    }
}
