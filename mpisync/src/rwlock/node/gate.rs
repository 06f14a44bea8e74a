//! The gate of one node, where the lock spans hosts: it keeps readers out for the writers of all
//! nodes.
//!
//! A gate is opened and closed by word from elsewhere, and word may arrive late, or twice. So the
//! gate only ever goes on, from one number of openings to the next; what comes too late changes
//! nothing.

use crate::rwlock::layout::Gate;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::{Closed, NodeLock};
use crate::shm::atomic::{Ordering, full_fence, replace_then_fence};
use crate::shm::event::ALL;

impl<M: Memory> NodeLock<M> {
    /// Opens the gate for the time of this number, and so lets in those who wait; whether it was
    /// not opened so often before.
    pub(crate) fn open_gate(&self, openings: u32) -> bool {
        self.raise_gate(Gate::open(openings))
    }

    /// Closes the gate that was opened so many times; nothing if it has been opened again since.
    /// Those who waited for an opening that was left out are let in all the same.
    pub(crate) fn close_gate(&self, openings: u32) -> Option<Closed> {
        let to = Gate::closed(openings);
        let closed_here = self.raise_gate(to);
        self.end_bias();
        if !closed_here {
            // Another thread may have closed it: no exchange of this one was the barrier.
            full_fence();
        }
        let now = self.gate();
        (now == to).then_some(Closed {
            openings: now.openings(),
        })
    }

    /// Whether no rank of the node reads behind the closed gate, nor is about to.
    pub(crate) fn readers_have_left(&self, closed: Closed) -> bool {
        (0..self.memory.ranks()).all(|rank| self.has_left(rank, closed))
    }

    /// Moves the gate on to that state; whether it was not there before. Those who waited for an
    /// opening up to there are in.
    fn raise_gate(&self, to: Gate) -> bool {
        loop {
            let now = self.gate();
            if !to.is_past(now) {
                return false;
            }
            let next = to.as_biased_as(now);
            if replace_then_fence(&self.entrance().gate, now.0, next.0) {
                if to.openings() != now.openings() {
                    self.opening().wake(ALL);
                }
                return true;
            }
        }
    }

    fn gate(&self) -> Gate {
        Gate(self.entrance().gate.load(Ordering::Acquire))
    }
}
