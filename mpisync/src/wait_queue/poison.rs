//! A wait queue after the death of a rank that held what no other rank may have, or that died in the
//! middle of a change.
//!
//! In the first case its permits go to the rank that takes over, by one exchange. In the second
//! nobody knows what of the change was done, and the words are made anew. That needs rest: the rank
//! that does it first adds a waiter that does not exist. Since no rank is served while fewer tickets
//! are visible than waiters are counted, nothing is granted from then on; all waiters find the death
//! and leave. When no living rank waits or is in the middle of a change, the permits that are free
//! are those that no living rank has. If the word is still the same then, the new one replaces it.
//! If the rank dies meanwhile, the queue is still that of a dead rank, and another rank does all of
//! it again.

use crate::shm::atomic::Ordering;
use crate::wait_queue::WaitQueue;
use crate::wait_queue::layout::{FreePermits, UNSETTLED, Want};
use crate::wait_queue::memory::WaitMemory;

/// What became of an attempt to take a queue over from dead ranks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TakeOver {
    /// No rank has died with anything, or another rank has taken over.
    NotPoisoned,
    /// The queue is usable. This rank has taken this number of permits.
    Taken(u32),
    /// Other ranks first have to leave. To be tried again.
    NotYet,
    /// It cannot be taken over: the server has died that acted for the owner of this slot, which may
    /// live and have its permits.
    Lost(usize),
}

impl<M: WaitMemory> WaitQueue<M> {
    /// Takes the queue over from dead ranks, for the owner of `slot`, which gets at most `wanted`
    /// permits if it is not known which ones the dead had.
    pub(crate) fn try_take_over(&self, slot: usize, wanted: u32) -> TakeOver {
        let _ = self.inspect();
        if self.check().is_ok() {
            return TakeOver::NotPoisoned;
        }
        let held = |slot: usize| self.memory.slot(slot).held.load(Ordering::Acquire);
        let slots = 0..self.memory.slots();
        let is_dead = |slot: &usize| !self.memory.is_alive(*slot);
        let dead: Vec<usize> = slots
            .filter(|slot| held(*slot) != 0 && is_dead(slot))
            .collect();
        if let Some(&orphan) = dead.iter().find(|slot| self.memory.is_orphan(**slot)) {
            return TakeOver::Lost(orphan);
        }
        let is_torn = dead.iter().any(|slot| held(*slot) & UNSETTLED != 0);
        if is_torn || self.is_being_rebuilt() {
            return self.rebuild(slot, wanted);
        }
        let taken = self.act(|| {
            let take = |dead: &usize| {
                let (word, found) = (&self.memory.slot(*dead).held, held(*dead));
                let taken = word.compare_exchange(found, 0, Ordering::SeqCst, Ordering::Relaxed);
                taken.unwrap_or(0)
            };
            let taken = dead.iter().map(take).sum();
            self.memory.slot(slot).add_held(taken);
            taken
        });
        match taken {
            0 => TakeOver::NotPoisoned,
            taken => TakeOver::Taken(taken),
        }
    }

    pub(super) fn is_being_rebuilt(&self) -> bool {
        self.memory.words().rebuilder.load(Ordering::Acquire) != 0
    }

    /// Makes the words anew, if no living rank waits or is in the middle of a change.
    fn rebuild(&self, slot: usize, wanted: u32) -> TakeOver {
        if !self.begin_to_rebuild() {
            return TakeOver::NotYet;
        }
        let words = self.memory.words();
        let now = FreePermits(words.free_permits.load(Ordering::SeqCst));
        let mut held = 0;
        for slot in (0..self.memory.slots()).filter(|slot| self.memory.is_alive(*slot)) {
            let held_here = self.memory.slot(slot).held.load(Ordering::Acquire);
            if held_here & UNSETTLED != 0 || self.want(slot) != Want::NOTHING {
                return TakeOver::NotYet;
            }
            held += held_here;
        }
        for dead in (0..self.memory.slots()).filter(|slot| !self.memory.is_alive(*slot)) {
            let place = self.memory.slot(dead);
            place.want.store(Want::NOTHING.0, Ordering::SeqCst);
            place.held.store(0, Ordering::SeqCst);
        }
        let free = words.total.load(Ordering::Relaxed).saturating_sub(held);
        let taken = free.min(wanted);
        let is_new = self.act(|| {
            let place = self.memory.slot(slot);
            place.add_held(taken);
            let is_new = self.replace(now, now.renewed(free - taken));
            if !is_new {
                place.take_held(taken);
            }
            is_new
        });
        if !is_new {
            return TakeOver::NotYet;
        }
        words.rebuilder.store(0, Ordering::Release);
        TakeOver::Taken(taken)
    }

    /// Makes this rank the only one that rebuilds, and keeps permits from being granted. Returns false
    /// if another one does that.
    fn begin_to_rebuild(&self) -> bool {
        let words = self.memory.words();
        let mine = self.memory.me() as u32 + 1;
        let found = words.rebuilder.load(Ordering::Acquire);
        if found == mine {
            return true;
        }
        if found != 0 && self.memory.is_alive(found as usize - 1) {
            return false;
        }
        let rebuilder = &words.rebuilder;
        let begun = rebuilder.compare_exchange(found, mine, Ordering::AcqRel, Ordering::Relaxed);
        if begun.is_ok() {
            let free_permits = &words.free_permits;
            free_permits.fetch_add(FreePermits::ONE_NEWCOMER, Ordering::SeqCst);
        }
        begun.is_ok()
    }
}
