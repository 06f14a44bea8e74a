//! Permits of a rank whose threads share the object.

use crate::error::LockError;
use crate::shm::atomic::{Mutex, locked};
use crate::shm::wait::Deadline;
use crate::shm::waiting::Call;
use crate::span::{Activity, Hold};
use crate::sync::base::{Base, Side};
use std::panic::Location;
use std::time::Duration;

/// Calls of several threads of this rank. `alone` is locked while one of them changes what the rank has.
impl Base {
    /// [`acquire`](Base::acquire) by the one thread that waits; others may release permits meanwhile.
    pub(in crate::sync) fn acquire_as_thread(
        &self,
        alone: &Mutex<()>,
        count: u32,
        limit: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Result<(), LockError> {
        self.object.check_usable()?;
        let call = || Call::new(self, "acquire", location);
        let deadline = Deadline::within(limit).of(call());
        let acquired = match &self.side {
            Side::Local(queue) => {
                (queue.acquire_as_thread(count, deadline, alone)).or_else(|stop| {
                    let _alone = locked(alone);
                    self.inspect_if_due(queue).and(Err(stop))
                })
            }
            Side::Remote(client) => {
                self.wanted.set(count);
                client.acquire(self.block(), count, deadline).map(drop)
            }
        };
        acquired.map_err(|stop| self.error(stop, limit, call()))?;
        let _alone = locked(alone);
        self.add_held(count);
        self.note_place(location);
        Ok(())
    }

    /// [`try_acquire`](Base::try_acquire) by a thread, which no other one of this rank waits beside if the
    /// queue is on another node. Returns whether it has the permits.
    pub(in crate::sync) fn try_acquire_as_thread(
        &self,
        alone: &Mutex<()>,
        count: u32,
        location: &'static Location<'static>,
    ) -> Result<bool, LockError> {
        let _alone = locked(alone);
        let has_permits = self.try_grant(count, location)?.is_some();
        if has_permits {
            self.add_held(count);
            self.note_place(location);
        }
        Ok(has_permits)
    }

    /// [`release`](Base::release) by a thread.
    pub(in crate::sync) fn release_as_thread(&self, alone: &Mutex<()>, count: u32) {
        let _alone = locked(alone);
        self.release(count, || None);
    }

    /// The span of what a thread holds.
    pub(in crate::sync) fn hold_of_thread(&self, location: &'static Location<'static>) -> Hold {
        let hold = Hold::default();
        hold.begin(|| self.block().holds(Activity::Hold, Some(location)));
        hold
    }

    /// Whether the queue is on this node.
    pub(in crate::sync) fn is_local(&self) -> bool {
        matches!(self.side, Side::Local(_))
    }
}
