//! A turn that goes around the ranks in rank order.
//!
//! Turns are numbered: turn `n` belongs to rank `n % size`. A rank whose turn is over reports that
//! to the node of the next rank only. So passing the turn on costs one atomic operation, or one
//! message if the ranks are on different nodes.

use crate::shm::absence::Absence;
use crate::shm::event::{Event, FutexWord};
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::Shareable;
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::view::View;
use crate::shm::wait::{Deadline, Stop, wait};
use crate::sync::turn::layout::TurnWords;
use std::sync::atomic::Ordering;

// SAFETY: only atomics, for all of which zero is valid.
unsafe impl Shareable for TurnWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<FutexWord> {}

/// The words of a turn on this node, and a futex word for each rank of the node.
pub(crate) struct Turns(View<TurnWords, FutexWord>);

/// The layout of a turn on each node.
pub(crate) struct TurnLayout;

impl Layout for TurnLayout {
    fn length(&self, topology: &Topology) -> usize {
        View::<TurnWords, FutexWord>::length(topology.local_ranks().len())
    }
}

impl Turns {
    /// The turn in that part of an object's memory.
    pub(crate) fn new(part: Part<'_>) -> Self {
        Turns(View::new(part, part.block.local_size()))
    }

    /// The number of finished turns, as far as this node knows.
    pub(crate) fn over(&self) -> u64 {
        self.0.words().over.load(Ordering::SeqCst)
    }

    /// The rank of the turn with this number.
    pub(crate) fn rank_of(&self, number: u64) -> u32 {
        let size = self.0.domain().topology().size() as u64;
        (number % size) as u32
    }

    /// The rank that has the turn, as far as this node knows.
    pub(crate) fn holder(&self) -> u32 {
        self.rank_of(self.next_taken(self.over()))
    }

    /// The number of the first turn from `number` on that is that of a rank which takes part.
    fn next_taken(&self, number: u64) -> u64 {
        let domain = self.0.domain();
        let takes_part = |&number: &u64| domain.takes_part(self.rank_of(number) as usize);
        let turns = number..number + domain.topology().size() as u64;
        turns.clone().find(takes_part).unwrap_or(turns.end)
    }

    /// Whether the turns before turn `number`, which is this rank's, are over.
    pub(crate) fn has_come(&self, number: u64) -> bool {
        let over = self.over();
        over >= number || self.next_taken(over) >= number
    }

    /// Whether a turn before turn `number` is that of a rank of this node, and not over.
    ///
    /// This node may know of fewer finished turns than there are, but not if the next one is that of one
    /// of its ranks: that rank notes the end of its turn here.
    pub(crate) fn has_turn_before(&self, local_rank: usize, number: u64) -> bool {
        let over = self.over();
        let rank = self.0.domain().topology().local_ranks()[local_rank];
        over < number && self.rank_of(over) == rank
    }

    /// Waits until the turns before turn `number`, which is this rank's, are over.
    pub(crate) fn wait_for(&self, number: u64, deadline: Deadline<'_>) -> Result<(), Stop> {
        let is_mine = || self.has_come(number).then_some(());
        wait(
            &self.0,
            self.futex_word(self.0.me()),
            deadline,
            is_mine,
            || {
                self.inspect();
                self.check(number)
            },
        )
    }

    /// Records on the node of the next rank that `over` turns are over. If that is another node,
    /// calls `send` with the rank.
    pub(crate) fn pass_on(&self, over: u64, send: impl FnOnce(u64, u32)) {
        let over = self.next_taken(over);
        let next = self.rank_of(over);
        match self.0.domain().topology().location(next as usize) {
            RankLocation::Local(slot) => self.record(over, slot),
            RankLocation::Remote(_) => {
                // The message is sent first: a rank that dies in between counts as one that has not
                // passed its turn on. The turn may have come back to this node by then, hence the
                // maximum.
                send(over, next);
                self.0.words().over.fetch_max(over, Ordering::Release);
            }
        }
    }

    /// Called by the server: another node has passed a turn on to a rank of this node.
    pub(crate) fn receive(&self, over: u64) {
        let next = self.rank_of(over);
        if let RankLocation::Local(slot) = self.0.domain().topology().location(next as usize) {
            self.record(over, slot);
        }
    }

    fn record(&self, over: u64, slot: usize) {
        // A read-modify-write operation, so that the check for a sleeper comes after it.
        self.0.words().over.fetch_max(over, Ordering::SeqCst);
        self.futex_word(slot).notify(1);
    }

    fn futex_word(&self, slot: usize) -> Event<'_> {
        self.0.slot(slot).event()
    }
}

/// # Dead and ended ranks
impl Turns {
    fn check(&self, number: u64) -> Result<(), Stop> {
        let domain = self.0.domain();
        if let Some(rank) = self.lost() {
            return Err(domain.stop_for(rank));
        }
        // Known on this node only: on others the turn may have been passed on.
        let over = self.over();
        let rank = self.rank_of(over);
        let is_local = domain.topology().has_local(rank as i32);
        if !is_local || over >= number {
            return Ok(());
        }
        if domain.has_left_call(rank as usize) && self.over() == over {
            return Err(Stop::Absent(rank, Absence::Left));
        }
        Ok(())
    }

    /// The rank that died or ended before it passed its turn on, if one is known.
    pub(crate) fn lost(&self) -> Option<u32> {
        let lost = self.0.words().lost.load(Ordering::Relaxed);
        let lost = lost.checked_sub(1);
        lost.filter(|&rank| self.0.domain().takes_part(rank as usize))
    }

    /// The next turn of a rank that takes part, if the turn is that of a rank of this node that does
    /// not, or such a rank has passed it on last: its message may have been lost.
    pub(crate) fn after_the_absent(&self) -> Option<u64> {
        let (domain, over) = (self.0.domain(), self.over());
        let is_absent = |number| {
            let rank = self.rank_of(number);
            domain.topology().has_local(rank as i32) && !domain.takes_part(rank as usize)
        };
        let is_due = is_absent(over) || over.checked_sub(1).is_some_and(is_absent);
        is_due.then(|| self.next_taken(over))
    }

    /// Looks whether it is the turn of a rank of this node that died or ended, or does not take it
    /// because of such a rank.
    pub(crate) fn inspect(&self) {
        let over = self.over();
        let (domain, rank) = (self.0.domain(), self.rank_of(over));
        let RankLocation::Local(slot) = domain.topology().location(rank as usize) else {
            return;
        };
        // In this order: it may have passed its turn on before.
        if let Some((absent, _)) = domain.absentee(rank as usize, domain.local_departure(slot))
            && domain.takes_part(absent as usize)
            && self.over() == over
        {
            self.lose(absent);
        }
    }

    /// Notes that a rank died or ended before its turn was over.
    pub(crate) fn lose(&self, rank: u32) {
        self.0.words().lost.store(rank + 1, Ordering::Relaxed);
    }
}
