//! The gate of one node if the lock spans hosts: it keeps readers out for the writers of all nodes.
//!
//! Messages open and close the gate, and a message may arrive late or twice. So the gate only
//! advances, from one number of openings to the next; a late message changes nothing.

use crate::rwlock::layout::GlobalGate;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::{Closed, NodeLock};
use crate::shm::atomic::{Ordering, full_fence, replace_then_fence};
use crate::shm::event::ALL;

impl<M: Memory> NodeLock<M> {
    /// Opens the gate with this number of openings, and so lets the waiting readers in. Returns false
    /// if it had been opened that often before.
    pub(crate) fn open_gate(&self, openings: u32) -> bool {
        self.raise_gate(GlobalGate::open(openings))
    }

    /// Closes the gate with this number of openings. Returns `None` if it has been opened again
    /// since. Readers that waited for a skipped opening are let in.
    pub(crate) fn close_gate(&self, openings: u32) -> Option<Closed> {
        let to = GlobalGate::closed(openings);
        let closed_here = self.raise_gate(to);
        self.revoke_bias();
        if !closed_here {
            // Another thread may have closed it, and no exchange of this thread was the barrier.
            full_fence();
        }
        let now = self.global_gate();
        (now == to).then_some(Closed {
            openings: now.openings(),
        })
    }

    /// Whether no rank of the node reads, or is about to, behind the closed gate.
    pub(crate) fn readers_have_left(&self, closed: Closed) -> bool {
        (0..self.memory.ranks()).all(|rank| self.has_left(rank, closed))
    }

    /// Advances the gate to that state. Returns false if it was there or beyond. Readers that waited
    /// for an opening up to there have entered.
    fn raise_gate(&self, to: GlobalGate) -> bool {
        loop {
            let now = self.global_gate();
            if !to.is_past(now) {
                return false;
            }
            let next = to.as_biased_as(now);
            if replace_then_fence(&self.gate_words().global_gate, now.0, next.0) {
                if to.openings() != now.openings() {
                    self.opening().wake(ALL);
                }
                return true;
            }
        }
    }

    fn global_gate(&self) -> GlobalGate {
        GlobalGate(self.gate_words().global_gate.load(Ordering::Acquire))
    }
}
