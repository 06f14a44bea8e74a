//! What a rank waits for in a wait queue.

use super::Base;
use crate::shm::block::Block;
use crate::shm::waiting::want::{Want, Wanted};
use crate::shm::waiting::{Awaited, BlockSubject, Needs};
use crate::wait_queue::memory::WaitMemory;
use std::sync::atomic::Ordering;

impl BlockSubject for Base {
    fn block(&self) -> &Block {
        self.block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        let Some(queue) = self.queue() else {
            return Vec::new();
        };
        let awaited = |(slot, _)| {
            let domain = self.block().domain();
            let rank = queue.memory.rank_of(slot)?;
            let is_local = domain.topology().has_local(rank as i32);
            let held_at = &queue.memory.slot(slot).held_at;
            Some(Awaited {
                rank,
                role: "holds it",
                held_at: is_local.then(|| held_at.get(domain, slot)).flatten(),
            })
        };
        let held = queue.standing().held.into_iter();
        held.filter_map(awaited).collect()
    }

    fn needs(&self) -> Needs {
        let Some(queue) = self.queue() else {
            return Needs::Unknown;
        };
        let (total, mine) = (queue.total(), queue.memory.me());
        if self.bound != Some(total) {
            return Needs::any_other(self.block().domain());
        }
        let standing = queue.standing();
        let held: u32 = standing.held.iter().map(|(_, count)| count).sum();
        let is_enough = queue.my_slot().count.load(Ordering::Relaxed) <= standing.free;
        // A permit whose holder is not known may be given back.
        if held + standing.free != total || is_enough {
            return Needs::Unknown;
        }
        let others = standing.held.iter().filter(|(slot, _)| *slot != mine);
        let ranks: Option<Vec<u32>> = others
            .map(|(slot, _)| queue.memory.rank_of(*slot))
            .collect();
        ranks.map_or(Needs::Unknown, Needs::Any)
    }

    fn want(&self) -> Option<Want> {
        let of = self.block().global()?;
        let count = match self.queue() {
            Some(queue) => queue.my_slot().count.load(Ordering::Relaxed),
            None => self.wanted.get(),
        };
        // There are never more permits than these, whatever ranks have kept for good.
        let spare = self.bound?.checked_sub(count)?;
        Some(Want {
            of,
            what: Wanted::Permits,
            least: u64::from(spare) + 1,
        })
    }
}

/// A notification as something to wait for in this queue, which has no permits.
pub(super) struct Notified<'a>(pub(super) &'a Base);

impl BlockSubject for Notified<'_> {
    fn block(&self) -> &Block {
        self.0.block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        Vec::new()
    }

    fn needs(&self) -> Needs {
        Needs::any_other(self.block().domain())
    }

    fn want(&self) -> Option<Want> {
        let (block, domain) = (self.block(), self.block().domain());
        let notification = Wanted::Notification(domain.topology().rank());
        Want::of_any(domain, block.global()?, notification)
    }
}
