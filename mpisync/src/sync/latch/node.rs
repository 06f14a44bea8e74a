//! The count of a latch, on the root's node.

use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::block::Block;
use crate::shm::domain::Urgency;
use crate::shm::event::{ALL, Event, FutexWord};
use crate::shm::layout::Layout;
use crate::shm::line::Line;
use crate::shm::mapping::{Mapping, Shareable};
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::view::View;
use crate::shm::wait::{Deadline, Stop, Surroundings, wait};
use crate::sync::latch::Remaining;

/// The words that all ranks share.
#[repr(C, align(128))]
struct LatchWords {
    /// The remaining count. Never increases.
    remaining: Line<AtomicU64>,
    /// Ranks of this node sleep here until the latch opens.
    futex_word: FutexWord,
    /// Nonzero once a rank of this node has called the server because the latch is open.
    called: AtomicU32,
    /// The rank that died or ended and without which the latch cannot open, plus one. Stored once,
    /// so that all ranks that wait get the same error.
    lost: AtomicU32,
}

/// The words of one rank of any node. Stored by that rank, or by the server for a rank of another
/// node.
#[repr(C)]
struct Slot {
    /// The total that the rank has counted down. Stored after `remaining`.
    counted: AtomicU64,
    /// Whether the rank waits without a time limit.
    waits: AtomicU32,
}

// SAFETY: only atomics, for all of which zero is valid.
unsafe impl Shareable for LatchWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<Slot> {}

type LatchView = View<LatchWords, Slot>;

/// The layout of a latch. Only the root's node has memory, with a slot for each rank of the
/// communicator.
pub(super) struct LatchLayout {
    pub(super) root: i32,
    pub(super) count: u64,
}

impl Layout for LatchLayout {
    fn length(&self, topology: &Topology) -> usize {
        match topology.has_local(self.root) {
            true => LatchView::length(topology.size()),
            false => 0,
        }
    }

    fn prepare(&self, topology: &Topology, memory: &Mapping, start: usize) {
        if topology.has_local(self.root) {
            let words: &LatchWords = memory.get(start);
            words.remaining.0.store(self.count, Ordering::SeqCst);
        }
    }
}

/// A latch on this node, as a rank of the node or the node's server sees it.
pub(super) struct LatchState(LatchView);

impl LatchState {
    /// The latch that fills the object's memory.
    pub(super) fn new(block: &Block) -> Self {
        let ranks = block.domain().topology().size();
        LatchState(View::new(block.first_part(), ranks))
    }

    pub(super) fn remaining(&self) -> u64 {
        // Sequentially consistent: makes visible what ranks did before they counted down.
        self.0.words().remaining.0.load(Ordering::SeqCst)
    }

    pub(super) fn is_open(&self) -> bool {
        self.remaining() == 0
    }

    /// Counts down for `rank`. Fails with the remaining count if that is less than `count`.
    pub(super) fn count_down(&self, rank: u32, count: u64) -> Result<(), u64> {
        let remaining = &self.0.words().remaining.0;
        let order = (Ordering::SeqCst, Ordering::SeqCst);
        let before = remaining.fetch_update(order.0, order.1, |left| left.checked_sub(count))?;
        // Stored after `remaining`: a rank that dies in between counts as missing, though the
        // remaining count has become smaller.
        let counted = &self.slot(rank).counted;
        counted.fetch_add(count, Ordering::Release);
        if before == count {
            self.open();
        }
        Ok(())
    }

    fn open(&self) {
        self.event().notify(ALL);
        let topology = self.0.domain().topology();
        let is_server = self.0.me() >= topology.local_ranks().len();
        // The server itself checks for an open latch when it has finished its current work.
        if topology.spans_nodes() && !is_server {
            let called = &self.0.words().called;
            self.0.domain().call_server(called, Urgency::AtOnce);
        }
    }

    /// Waits as `rank` until the latch is open.
    pub(super) fn wait(&self, rank: u32, deadline: Deadline<'_>) -> Result<(), Stop> {
        self.set_waits(rank, deadline.is_never());
        let is_open = || self.is_open().then_some(());
        let waited = wait(&self.0, self.event(), deadline, is_open, || {
            self.lost()
                .map_or(Ok(()), |rank| Err(self.0.domain().stop_for(rank)))
        });
        self.set_waits(rank, false);
        waited
    }

    /// Records whether `rank` waits without a time limit.
    pub(super) fn set_waits(&self, rank: u32, waits: bool) {
        self.slot(rank).waits.store(waits.into(), Ordering::Release);
    }

    /// The remaining count, and the ranks that have not counted down at all.
    pub(super) fn missing(&self) -> Remaining {
        let missing = self.ranks().filter(|&rank| self.is_missing(rank)).collect();
        (self.remaining(), missing)
    }

    /// The rank that died or ended and without which the latch cannot open, if there is one.
    pub(super) fn lost(&self) -> Option<u32> {
        let lost = &self.0.words().lost;
        if lost.load(Ordering::Relaxed) == 0 {
            let found = self.find_lost()? + 1;
            // Another rank may have stored one at the same time.
            let _ = lost.compare_exchange(0, found, Ordering::Relaxed, Ordering::Relaxed);
        }
        lost.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Searches for such a rank, by the rules of [`Latch`](super::Latch).
    fn find_lost(&self) -> Option<u32> {
        let may_count = |rank: u32| self.slot(rank).waits.load(Ordering::Acquire) == 0;
        let (mut gone_and_missing, mut expected) = (None, 0);
        for rank in self.ranks().filter(|&rank| self.is_missing(rank)) {
            if self.is_present(rank) {
                expected += u64::from(may_count(rank));
            } else if self.is_missing(rank) {
                // Read again: the rank may have counted down before it died or ended.
                gone_and_missing.get_or_insert(rank);
            }
        }
        let lost = gone_and_missing.filter(|_| self.remaining() > expected);
        let lost = lost.or_else(|| {
            let anyone_may = (self.ranks()).any(|rank| may_count(rank) && self.is_present(rank));
            let mut ranks = self.ranks().filter(|_| !anyone_may);
            ranks.find(|&rank| !self.is_present(rank))
        })?;
        // Read last: a rank may have counted down to zero before it waited.
        (!self.is_open()).then_some(lost)
    }

    fn is_missing(&self, rank: u32) -> bool {
        self.slot(rank).counted.load(Ordering::Acquire) == 0
    }

    /// Whether a rank is present and can reach the latch.
    fn is_present(&self, rank: u32) -> bool {
        let domain = self.0.domain();
        let is_reached = match domain.topology().location(rank as usize) {
            RankLocation::Local(_) => true,
            RankLocation::Remote(_) => {
                let server = domain.segment().shape().local_rank_of_server();
                self.0.is_alive(server)
            }
        };
        is_reached && domain.departure(rank as usize).is_none()
    }

    fn ranks(&self) -> std::ops::Range<u32> {
        0..self.0.slots() as u32
    }

    fn slot(&self, rank: u32) -> &Slot {
        self.0.slot(rank as usize)
    }

    fn event(&self) -> Event<'_> {
        self.0.words().futex_word.event()
    }
}
