//! A queue whose ranks may have died or ended.

use crate::shm::atomic::{MODELLED, Ordering};
use crate::shm::wait::Stop;
use crate::wait_queue::layout::{UNSETTLED, WaitWords, Want};
use crate::wait_queue::memory::WaitMemory;
use crate::wait_queue::{OnDeath, WaitQueue};

impl<M: WaitMemory> WaitQueue<M> {
    /// An error while a dead rank has something that no other rank may have.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        let broken = self.memory.words().broken.load(Ordering::Relaxed);
        let Some(slot) = broken.checked_sub(1) else {
            return Ok(());
        };
        // The word stays as it is when another rank takes over.
        let slot = slot as usize;
        let has_it = || self.memory.slot(slot).held.load(Ordering::Acquire) != 0;
        if self.is_being_rebuilt() || has_it() {
            return Err(Stop::Died(slot));
        }
        Ok(())
    }

    /// Takes over from dead ranks: from holders, and from the first waiter. Other waiters are checked
    /// once they are first.
    pub(crate) fn inspect(&self) -> Result<(), Stop> {
        let first = self.first_seen().1.map(|first| first.slot);
        let mut found_dead = false;
        for slot in 0..self.memory.slots() {
            let held = self.memory.slot(slot).held.load(Ordering::Acquire);
            let counts = held != 0 || Some(slot) == first || self.want(slot).is_granted();
            let may_reclaim = counts && slot != self.memory.me() && self.memory.acts_for(slot);
            if may_reclaim && !self.memory.is_alive(slot) {
                self.reclaim(slot);
                found_dead = true;
            }
        }
        // A rank that died just after a change has not served the queue. (In the model no rank dies there, and this would
        // hide a missing call.)
        if found_dead || !MODELLED {
            self.serve();
        }
        self.check()?;
        self.check_holder()
    }

    /// Records whether a slot, which is about to join, waits without a time limit.
    pub(crate) fn set_endless(&self, slot: usize, is_endless: bool) {
        let word = &self.memory.slot(slot).is_endless;
        word.store(is_endless.into(), Ordering::Relaxed);
    }

    /// An error for a waiter of a queue without permits if no rank was left that could wake it: each
    /// had died, had ended, or waited here without a time limit.
    pub(crate) fn check_wakers(&self, ticket: u64) -> Result<(), Stop> {
        let waits = |slot: usize| {
            // In this order: `is_endless` was stored before `want`.
            let waits = self.want(slot).is_waiting();
            waits && self.memory.slot(slot).is_endless.load(Ordering::Relaxed) != 0
        };
        let may_wake = |slot: usize| {
            self.memory.is_ranks(slot)
                && !waits(slot)
                && self.memory.is_alive(slot)
                && !self.memory.has_ended(slot)
        };
        let WaitWords {
            tickets, abandoned, ..
        } = self.memory.words();
        if !(0..self.memory.slots()).any(may_wake) {
            // All that wait now get the error, also those that find the first ones of them gone.
            abandoned.fetch_max(tickets.load(Ordering::SeqCst), Ordering::Relaxed);
        }
        if ticket < abandoned.load(Ordering::Relaxed) {
            return Err(Stop::Alone);
        }
        Ok(())
    }

    /// An error if a rank has ended with a permit that no other rank can have meanwhile.
    fn check_holder(&self) -> Result<(), Stop> {
        if self.on_death == OnDeath::Release {
            return Ok(());
        }
        let has_it = |slot: &usize| self.memory.slot(*slot).held.load(Ordering::Acquire) != 0;
        let mut slots = 0..self.memory.slots();
        // In this order: it may have given the permit back before it ended.
        let found = slots.find(|slot| self.memory.has_ended(*slot) && has_it(slot));
        found.map_or(Ok(()), |slot| Err(Stop::Ended(slot)))
    }

    fn reclaim(&self, slot: usize) {
        let place = self.memory.slot(slot);
        let held = place.held.load(Ordering::Acquire);
        let want = self.want(slot);
        let goes_on = self.on_death == OnDeath::Release && !self.memory.is_orphan(slot);
        if held & UNSETTLED != 0 || held != 0 && !goes_on {
            let broken = &self.memory.words().broken;
            broken.store(slot as u32 + 1, Ordering::Relaxed);
            return;
        }
        if want.is_waiting() {
            self.leave(slot, want.ticket());
        }
        // One of the ranks that find it dead at the same time takes over.
        let free_permits = &self.memory.words().free_permits;
        if want.is_granted() {
            let count = place.count.load(Ordering::Relaxed);
            self.act(|| {
                if self.change_want(slot, want, Want::NOTHING) {
                    free_permits.fetch_add(count.into(), Ordering::SeqCst);
                }
            });
        }
        if held != 0 {
            self.act(|| {
                let freed =
                    (place.held).compare_exchange(held, 0, Ordering::SeqCst, Ordering::Relaxed);
                if freed.is_ok() {
                    free_permits.fetch_add(held.into(), Ordering::SeqCst);
                }
            });
        }
    }
}
