//! Ranks take turns in the order of their numbers, round and round.
//!
//! Turns are counted: number `n` belongs to rank `n % size`, and a rank whose turn is over says
//! that one more is, to the node of the next rank alone. So from rank to rank it takes one store,
//! or one message where they are on different nodes.

use crate::shm::event::{Event, FutexWord};
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::Shareable;
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::view::View;
use crate::shm::wait::{Deadline, Stop, Surroundings, wait};
use crate::sync::turn::layout::TurnWords;
use std::sync::atomic::Ordering;

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for TurnWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<FutexWord> {}

/// The words of a turn on this node, with a futex word for each rank here.
pub(crate) struct Turns(View<TurnWords, FutexWord>);

/// The layout of a turn, on each node.
pub(crate) struct TurnLayout;

impl Layout for TurnLayout {
    fn length(&self, topology: &Topology) -> usize {
        View::<TurnWords, FutexWord>::length(topology.local_ranks().len())
    }
}

impl Turns {
    /// Those in that part of an object's memory.
    pub(crate) fn new(part: Part<'_>) -> Self {
        Turns(View::new(part, part.block.local_size()))
    }

    /// How many turns are over, as far as this node has to know.
    pub(crate) fn over(&self) -> u64 {
        self.0.words().over.load(Ordering::SeqCst)
    }

    /// The rank of the turn with this number.
    pub(crate) fn rank_of(&self, number: u64) -> u32 {
        let size = self.0.domain().topology().size() as u64;
        (number % size) as u32
    }

    /// Waits until all turns before this one of this rank are over.
    pub(crate) fn wait_for(&self, number: u64, deadline: Deadline<'_>) -> Result<(), Stop> {
        let is_mine = || (self.over() >= number).then_some(());
        wait(
            &self.0,
            self.futex_word(self.0.me()),
            deadline,
            is_mine,
            || {
                self.inspect();
                self.check()
            },
        )
    }

    /// Says that so many turns are over, on the node of the next rank; `tell` does so where that is
    /// another one, given the rank.
    pub(crate) fn pass_on(&self, over: u64, tell: impl FnOnce(u32)) {
        let next = self.rank_of(over);
        match self.0.domain().topology().location(next as usize) {
            RankLocation::Local(slot) => self.note(over, slot),
            RankLocation::Remote(_) => {
                // In this order: one that dies in between counts as one that has not passed its turn on. The turn may have
                // come back here by then.
                tell(next);
                self.0.words().over.fetch_max(over, Ordering::Release);
            }
        }
    }

    /// As the server: the same, from another node.
    pub(crate) fn receive(&self, over: u64) {
        let next = self.rank_of(over);
        if let RankLocation::Local(slot) = self.0.domain().topology().location(next as usize) {
            self.note(over, slot);
        }
    }

    fn note(&self, over: u64, slot: usize) {
        // An exchange, so that the look at the sleeper comes after it.
        self.0.words().over.fetch_max(over, Ordering::SeqCst);
        self.futex_word(slot).notify(1);
    }

    fn futex_word(&self, slot: usize) -> Event<'_> {
        self.0.slot(slot).event()
    }
}

/// About ranks that died.
impl Turns {
    fn check(&self) -> Result<(), Stop> {
        match self.lost() {
            Some(rank) => Err(Stop::RankDied(rank)),
            None => Ok(()),
        }
    }

    /// The rank that died before its turn was over, if one is known.
    pub(crate) fn lost(&self) -> Option<u32> {
        let lost = self.0.words().lost.load(Ordering::Relaxed);
        lost.checked_sub(1)
    }

    /// Looks whether it is the turn of a rank of this node that died.
    pub(crate) fn inspect(&self) {
        let over = self.over();
        let rank = self.rank_of(over);
        // In this order: it may have passed its turn on before it died.
        if let RankLocation::Local(slot) = self.0.domain().topology().location(rank as usize)
            && !self.0.is_alive(slot)
            && self.over() == over
        {
            self.lose(rank);
        }
    }

    /// Notes that a rank died before its turn was over.
    pub(crate) fn lose(&self, rank: u32) {
        self.0.words().lost.store(rank + 1, Ordering::Relaxed);
    }
}
