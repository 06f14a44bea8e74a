//! The ranks that keep others from a lock, for reports and for the search for deadlocks.

use crate::rwlock::layout::{NOT_REQUESTED, READING};
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::NodeLock;
use crate::shm::waiting::Awaited;
use std::panic::Location;
use std::sync::atomic::Ordering;

/// Whether a wait may be for another thread of this rank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OwnThreads {
    Count,
    /// This rank waits as a whole.
    DoNotCount,
}

/// A role, as other ranks have it and as another thread of this rank has it.
#[derive(Clone, Copy)]
pub(super) struct Role {
    of_rank: &'static str,
    of_thread: &'static str,
}

impl Role {
    /// The same for both.
    pub(super) fn of_any(role: &'static str) -> Self {
        Role {
            of_rank: role,
            of_thread: role,
        }
    }
}

const WRITES: Role = Role {
    of_rank: "has the turn to write",
    of_thread: "has the turn to write, in another thread of this rank",
};
const WRITES_PART: Role = Role {
    of_rank: "writes a part",
    of_thread: "writes a part, in another thread of this rank",
};
const READS: Role = Role {
    of_rank: "reads",
    of_thread: "reads, in another thread of this rank",
};

impl NodeLock<LockMemory> {
    /// The ranks of this node that keep others waiting now.
    pub(super) fn awaited(&self, own: OwnThreads) -> Vec<Awaited> {
        let holders = self.holders();
        let mut awaited = self.awaited_of(holders.writer, WRITES, own);
        awaited.extend(self.awaited_of(holders.ranges, WRITES_PART, own));
        awaited.extend(self.awaited_of(holders.readers, READS, own));
        awaited
    }

    /// These ranks of this node, as ranks for which others wait.
    pub(super) fn awaited_of(
        &self,
        local_ranks: impl IntoIterator<Item = usize>,
        role: Role,
        own: OwnThreads,
    ) -> Vec<Awaited> {
        let awaited = |local_rank: usize| {
            let rank = self.rank_of(local_rank)?;
            let is_own = rank == self.memory.domain().topology().rank();
            (!is_own || own == OwnThreads::Count).then(|| Awaited {
                rank,
                role: if is_own { role.of_thread } else { role.of_rank },
                held_at: self.place_of(local_rank),
            })
        };
        local_ranks.into_iter().filter_map(awaited).collect()
    }

    /// Where in the program a rank that has the lock has taken it.
    fn place_of(&self, local_rank: usize) -> Option<&'static Location<'static>> {
        let words = self.memory.rank_words(local_rank);
        let reads = |counter: &usize| {
            let count = &self.memory.threads(local_rank, *counter).count;
            count.load(Ordering::Relaxed) != 0
        };
        let domain = self.memory.domain();
        if words.slot.load(Ordering::Relaxed) != READING
            && let Some(counter) = (0..self.memory.counters()).find(reads)
        {
            let threads = self.memory.threads(local_rank, counter);
            return threads.held_at.get(domain, local_rank);
        }
        // A rank that waits for the turn, or for readers, has its last place there.
        let has_entered = words.request.load(Ordering::Relaxed) == NOT_REQUESTED;
        has_entered.then(|| words.held_at.get(domain, local_rank))?
    }

    /// The rank with this local rank. The node's server has none.
    pub(super) fn rank_of(&self, local_rank: usize) -> Option<u32> {
        let here = self.memory.domain().topology().local_ranks();
        here.get(local_rank).copied()
    }
}
