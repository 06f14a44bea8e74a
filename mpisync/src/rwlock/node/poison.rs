//! The lock after the death of a writer.
//!
//! A rank that dies as a writer keeps the turn, so its death needs no flag that others would have to
//! check: no rank gets past the turn, and those that wait find its holder dead. Another rank may
//! take the turn over, by one exchange; then that rank is the writer, and releases the lock as any
//! writer does. If it dies, too, the turn is that of a dead rank again.

use crate::rwlock::layout::Turn;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::shm::atomic::Ordering;
use crate::shm::event::ALL;
use crate::shm::wait::{Deadline, Stop};

impl<M: Memory> NodeLock<M> {
    /// Takes the turn over from a rank that died as a writer, or from a group that a rank has broken.
    /// Returns the owner of the turn. None if there is none, or another rank has taken over.
    pub(in crate::rwlock) fn take_over_turn(&self) -> Option<usize> {
        if self.turn().owner() == Some(Turn::RANGES) {
            return self.take_over_ranges();
        }
        let Err(Stop::Died(dead)) = self.inspect_owner() else {
            return None;
        };
        let me = self.memory.me();
        loop {
            let turn = self.turn();
            if turn.owner() != Some(dead) {
                return None;
            }
            // Fails if a rank begins to wait, or ceases to.
            if self.replace_turn(turn, turn.held_by(me)) {
                return Some(dead);
            }
        }
    }

    /// Enters as a writer in place of a rank that died as one, after the readers have left that it
    /// may have let in. Returns the dead rank; none if there is none, and then this rank has not
    /// entered.
    ///
    /// # Errors
    /// If the readers do not leave. The turn is that of the dead rank again.
    pub(in crate::rwlock) fn take_over(
        &self,
        deadline: Deadline<'_>,
    ) -> Result<Option<usize>, Stop> {
        let Some(dead) = self.take_over_turn() else {
            return Ok(None);
        };
        // Unlike other writers, this one must not be passed over if it dies while it waits.
        self.revoke_bias();
        // The dead rank may have let readers in and not woken them.
        self.opening().wake(ALL);
        let left = self.await_others(self.closed(), deadline);
        if let Err(stop) = left {
            self.give_turn(dead);
            return Err(stop);
        }
        Ok(Some(dead))
    }

    /// As the server of the node: takes the turn if nobody alive has it, also if others wait for it.
    /// Returns the rank that died as a writer and had it, if any.
    ///
    /// # Errors
    /// If a living rank has the turn.
    pub(in crate::rwlock) fn seize_turn(&self) -> Result<Option<usize>, ()> {
        let me = self.memory.me();
        loop {
            let turn = self.turn();
            match turn.owner() {
                Some(owner) if owner == me => return Ok(None),
                Some(_) => return self.take_over_turn().map(Some).ok_or(()),
                None if self.replace_turn(turn, turn.held_by(me)) => return Ok(None),
                None => {}
            }
        }
    }

    /// Gives the turn, which this rank has, to another one; to a dead one if it has taken the turn
    /// from that.
    pub(in crate::rwlock) fn give_turn(&self, other: usize) {
        let mut turn = self.turn();
        loop {
            let next: Turn = turn.held_by(other);
            let word = &self.gate_words().turn;
            match word.compare_exchange(turn.0, next.0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => turn = Turn(now),
            }
        }
    }
}
