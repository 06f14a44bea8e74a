//! How permits that are free come to the ranks that wait.

use crate::shm::atomic::{Ordering, fence_after_exchange};
use crate::wait_queue::WaitQueue;
use crate::wait_queue::layout::{FreePermits, Want};
use crate::wait_queue::memory::WaitMemory;

/// The first waiter.
pub(super) struct First {
    pub(super) slot: usize,
    pub(super) ticket: u64,
    count: u32,
}

/// Calls of any rank.
impl<M: WaitMemory> WaitQueue<M> {
    /// Grants free permits to the first waiters. Called after every change that may allow a grant.
    pub(super) fn serve(&self) {
        // A later change by another rank sees this one, or this rank sees that one below.
        fence_after_exchange();
        let now = self.free_permits();
        if now.waiters() > 0 && now.permits() > 0 && self.act(|| self.serve_line()) {
            self.memory.call_server();
        }
    }

    /// Serves the queue. Returns whether the server has to notify ranks of other nodes.
    #[cold]
    fn serve_line(&self) -> bool {
        let (mut serves, mut calls) = (false, false);
        let free_permits = &self.memory.words().free_permits;
        loop {
            let now = self.free_permits();
            if now.is_served() && !serves {
                // The rank that serves finds the word changed, and checks again.
                if self.replace(now, now.changed()) {
                    return calls;
                }
                continue;
            }
            let first = match (now.permits(), now.waiters()) {
                (0, _) | (_, 0) => None,
                (permits, waiters) => {
                    let (seen, first) = self.first_seen();
                    first.filter(|first| seen >= waiters && first.count <= permits)
                }
            };
            match first {
                Some(first) => {
                    // It counts as a waiter until it has been served, so that no rank overtakes it if it gives up now.
                    if !self.replace(now, now.without(first.count).served()) {
                        continue;
                    }
                    serves = true;
                    if self.grant(&first) {
                        free_permits.fetch_sub(FreePermits::ONE_WAITER, Ordering::SeqCst);
                        calls |= self.memory.ring(first.slot);
                    } else {
                        free_permits.fetch_add(first.count.into(), Ordering::SeqCst);
                    }
                    fence_after_exchange();
                }
                None if serves => {
                    if self.replace(now, now.unserved()) {
                        return calls;
                    }
                }
                None => return calls,
            }
        }
    }

    /// The number of waiters whose tickets are visible, and the first of them.
    pub(super) fn first_seen(&self) -> (u32, Option<First>) {
        let mut seen = 0;
        let mut first: Option<First> = None;
        for slot in 0..self.memory.slots() {
            let want = self.want(slot);
            if !want.is_waiting() {
                continue;
            }
            seen += 1;
            let ticket = want.ticket();
            if first.as_ref().is_none_or(|first| ticket < first.ticket) {
                let count = self.memory.slot(slot).count.load(Ordering::Relaxed);
                first = Some(First {
                    slot,
                    ticket,
                    count,
                });
            }
        }
        (seen, first)
    }

    pub(super) fn grant(&self, first: &First) -> bool {
        let (waiting, granted) = (Want::waiting(first.ticket), Want::granted(first.ticket));
        self.change_want(first.slot, waiting, granted)
    }
}
