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
        let inspect = || match inspects {
            true => lock.memory.check(),
            false => Ok(()),
        };
        loop {
            match stage {
                None | Some(WriterStage::Turn) => {
                    let has_turn = lock.poll_turn(stage.is_some(), inspects);
                    // The last writer may have left the gates closed for this one.
                    if !has_turn.inspect_err(|_| writer::tidy(&site))? {
                        return Ok(Some(WriterStage::Turn));
                    }
                }
                // All that this rank has done is void.
                Some(_) if lock.memory.is_halting() => {}
                Some(WriterStage::Token) => match lock.memory.qnode().take_granted() {
                    Some(token) => writer::receive(&site, token),
                    None => {
                        inspect().inspect_err(|_| writer::release(&site))?;
                        return Ok(stage);
                    }
                },
                Some(WriterStage::Readers(drain)) => {
                    if !writer::have_drained(&site, drain) {
                        if inspects {
                            self.clear_dead_readers(lock);
                        }
                        inspect().inspect_err(|_| self.give_up_drain(lock))?;
                        return Ok(stage);
                    }
                    writer::note_drained(&site);
                }
                Some(WriterStage::LocalReaders(_)) => unreachable!("there are several nodes"),
            }
            if lock.memory.is_halting() {
                // The server of this node has the turn meanwhile.
                lock.give_turn(lock.memory.local_size());
                stage = None;
                continue;
            }
            stage = match writer::advance(&site) {
                Next::Enter => return Ok(None),
                Next::AwaitToken => Some(WriterStage::Token),
                Next::AwaitReaders(drain) => Some(WriterStage::Readers(drain)),
                Next::GiveUp(rank) => {
                    writer::release(&site);
                    return Err(Stop::RankDied(rank));
                }
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
        match stage {
            WriterStage::Turn => match lock.withdraw(Stop::Interrupted, Deadline::NEVER) {
                Ok(()) => writer::release(&site),
                Err(_) => writer::tidy(&site),
            },
            WriterStage::Token => writer::release(&site),
            WriterStage::Readers(_) | WriterStage::LocalReaders(_) => self.give_up_drain(lock),
        }
    }

    fn give_up_drain(&self, lock: NodeLock<&LockMemory>) {
        let site = self.at(lock);
        writer::reopen(&site);
        writer::release(&site);
    }
}
