//! A queue whose holders have died.

use crate::error::LockError;
use crate::shm::wait::{Deadline, Stop, wait_for_answer};
use crate::shm::waiting::Call;
use crate::sync::base::{Base, Grant, Side};
use crate::wait_queue::poison::TakeOver;
use std::panic::Location;

impl Base {
    /// Takes over from ranks that died with the permits of this queue, or while they changed it. None
    /// if the queue is not poisoned; else the permits that this rank now has, at most `wanted` unless
    /// the dead had them. `location` is that of the call.
    pub(in crate::sync) fn take_over(
        &self,
        wanted: u32,
        location: &'static Location<'static>,
    ) -> Result<Option<(u32, Grant)>, LockError> {
        self.object.check_usable()?;
        self.suspend_futures();
        let taken = match &self.side {
            Side::Local(queue) => {
                let nobody = self.block().awaits(Vec::new);
                let deadline = Deadline::NEVER.of(Call::new(&nobody, "take_over", location));
                let taken = wait_for_answer(self.block(), deadline, || {
                    let taken = queue.try_take_over(self.me(), wanted);
                    (taken != TakeOver::NotYet).then_some(taken)
                });
                let taken = taken.and_then(|taken| match taken {
                    TakeOver::Taken(count) => Ok(Some((count, None))),
                    TakeOver::Lost(slot) => Err(Stop::Died(slot)),
                    TakeOver::NotPoisoned | TakeOver::NotYet => Ok(None),
                });
                let call = || Call::new(self, "take_over", location);
                taken.map_err(|stop| self.error(stop, None, call()))?
            }
            Side::Remote(client) => client.take_over(self.block(), wanted)?,
        };
        Ok(taken.map(|(count, cargo)| {
            self.add_held(count);
            if count > 0 {
                self.note_held_at(location);
            }
            let ticket = None;
            (count, Grant { ticket, cargo })
        }))
    }

    /// Makes the queue usable again after the death of a rank, with no permits for this one. Returns
    /// whether there was a death to clear.
    pub(in crate::sync) fn clear_poison(
        &self,
        location: &'static Location<'static>,
    ) -> Result<bool, LockError> {
        let taken = self.take_over(0, location)?;
        if let Some((count @ 1.., _)) = taken {
            self.release(count, || None);
        }
        Ok(taken.is_some())
    }
}
