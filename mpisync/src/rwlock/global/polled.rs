//! The lock across nodes as futures take it: the steps of a wait, each when the future is polled.

use crate::rwlock::global::lock::GlobalLock;
use crate::rwlock::global::writer;
use crate::rwlock::global::writer::Next;
use crate::rwlock::memory::LockMemory;
use crate::rwlock::node::NodeLock;
use crate::rwlock::state::futures::WriterStage;
use crate::shm::wait::{Deadline, Stop, Surroundings};

impl GlobalLock {
    /// The next steps of a writer. Returns what it waits for; none if it has entered.
    ///
    /// # Errors
    /// If it finds that it cannot enter, for which it looks if it `inspects`. The rank waits no longer.
    pub(in crate::rwlock) fn poll_write(
        &self,
        lock: NodeLock<&LockMemory>,
        mut stage: Option<WriterStage>,
        inspects: bool,
    ) -> Result<Option<WriterStage>, Stop> {
        let site = self.at(lock);
        loop {
            if let Some(WriterStage::Global(next)) = stage {
                // If the lock recovers, all that this rank has done is void.
                if !lock.memory.is_halting() && !self.has_come(&site, next) {
                    if inspects {
                        self.inspect(lock, next);
                        let checked = lock.memory.check();
                        checked.inspect_err(|_| self.give_up(&site, next))?;
                    }
                    return Ok(stage);
                }
            } else {
                let has_turn = lock.poll_turn(stage.is_some(), inspects);
                // The last writer may have left the gates closed for this one.
                if !has_turn.inspect_err(|_| writer::tidy(&site))? {
                    return Ok(Some(WriterStage::Turn));
                }
            }
            if lock.memory.is_halting() {
                // The server of this node has the turn meanwhile.
                lock.give_turn(lock.memory.local_size());
                stage = None;
                continue;
            }
            stage = match writer::advance(&site) {
                Next::Enter => return Ok(None),
                Next::GiveUp(rank) => {
                    writer::release(&site);
                    return Err(Stop::RankDied(rank));
                }
                next => Some(WriterStage::Global(next)),
            };
        }
    }

    /// Waits no longer, as a writer at this stage.
    pub(in crate::rwlock) fn withdraw_write(
        &self,
        lock: NodeLock<&LockMemory>,
        stage: WriterStage,
    ) {
        let site = self.at(lock);
        if let WriterStage::Global(next) = stage {
            return self.give_up(&site, next);
        }
        match lock.withdraw(Stop::Interrupted, Deadline::NEVER) {
            Ok(()) => writer::release(&site),
            Err(_) => writer::tidy(&site),
        }
    }
}
