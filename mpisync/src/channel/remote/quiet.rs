//! Whether a channel is quiet: nothing is under way in it that ends a wait for a message or for room.
//!
//! Each node counts the messages that its ranks have put and taken. The nodes are asked one after the
//! other, so a sum may miss messages that are put or taken meanwhile, but does not name too many.
//!
//! - For a wait for a message, all that could put another one wait, so the first sum is exact. If as many
//!   were taken, there is none at a node, at the coordinator or between them. So the wait needs a rank
//!   that puts one, or the end of the stream.
//! - For a wait for room, all that could take another one wait, so the second sum is exact. If as many more
//!   were put as the channel has room for, all credits are used. So the wait needs a rank that takes one.
//!
//! The stream ends once all ranks that could put wait for a message of this channel. It has not ended if
//! one of them waits for something else. But it may have ended before that one came there, so all ends
//! that the coordinator has sent have to have come, and no rank is about to notice one. A promise that is
//! kept ends the stream, too; nothing is said of a channel with promises.

use crate::channel::remote::Coordinator;
use crate::channel::remote::proxy::NodeProxy;
use crate::channel::ring::layout::{NO_CONSUMER, NO_PRODUCER, WAITING};
use crate::channel::ring::memory::QueueMemory;
use crate::shm::atomic::Ordering;
use crate::shm::waiting::want::{Kept, Tally, Wanted};

/// The end of the ranks that can give what is wanted.
fn end_of(want: &Wanted) -> Option<u32> {
    match want {
        Wanted::Message => Some(NO_PRODUCER),
        Wanted::Room => Some(NO_CONSUMER),
        _ => None,
    }
}

impl NodeProxy {
    /// Whether a rank of this node can give what is wanted.
    pub(super) fn keeps(&self, local_rank: usize, want: &Wanted) -> Kept {
        let can_give = |end| !self.has_closed(local_rank, end);
        Kept::one_if(end_of(want).is_some_and(can_give))
    }

    /// What this node knows. `coordinator` is that of the channel, on its node.
    pub(super) fn tally(&self, want: &Wanted, coordinator: Option<&Coordinator>) -> Option<Tally> {
        let end = end_of(want)?;
        // Before the counts: they include all that ranks did before they closed an end.
        let never = self
            .local_ranks()
            .filter(|rank| self.has_closed(*rank, end));
        let never = never.count() as u64;
        let in_channel = (self.collected() as i64).wrapping_sub(self.taken() as i64);
        Some(match want {
            Wanted::Message => Tally {
                never,
                balance: [in_channel, self.ends_under_way(coordinator)],
                is_still: self.has_collected_all()
                    && !self.has_promises()
                    && !self.is_about_to_end(),
                is_idle: self.is_idle(),
            },
            _ => Tally {
                never,
                // Those that are not collected yet count as room.
                balance: [in_channel - coordinator.map_or(0, Coordinator::room), 0],
                is_still: true,
                is_idle: false,
            },
        })
    }

    fn local_ranks(&self) -> std::ops::Range<usize> {
        0..self.queue_of_messages().ranks() - 1
    }

    fn has_closed(&self, local_rank: usize, end: u32) -> bool {
        let ends = &self.queue_of_messages().rank_state(local_rank).ends;
        ends.load(Ordering::SeqCst) & end != 0
    }

    /// The ends that have come here, less those that the coordinator has sent to all nodes.
    fn ends_under_way(&self, coordinator: Option<&Coordinator>) -> i64 {
        i64::from(self.ends()) - coordinator.map_or(0, Coordinator::ends)
    }

    fn has_promises(&self) -> bool {
        self.relay().claimed.load(Ordering::SeqCst) != 0
    }

    /// Whether a rank of this node waits for a message since before the last end, which it has not noticed.
    fn is_about_to_end(&self) -> bool {
        let queue = self.queue_of_messages();
        let endings = queue.words().account.0.endings.load(Ordering::SeqCst);
        self.local_ranks().any(|rank| {
            let call = queue.rank_state(rank).call.load(Ordering::SeqCst);
            call != 0 && call != endings | WAITING
        })
    }

    /// Whether each rank of this node waits for a message or puts none any more.
    fn is_idle(&self) -> bool {
        let queue = self.queue_of_messages();
        self.local_ranks().all(|rank| {
            let waits = &queue.rank_state(rank).waits;
            waits.load(Ordering::SeqCst) != 0 || self.has_closed(rank, NO_PRODUCER)
        })
    }
}
