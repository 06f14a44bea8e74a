//! Ranks say what they make of something that they do together, round after round, and the first of
//! them hears it.
//!
//! Each has a slot of its own, on its node; on another node than the first rank's it sends a
//! message instead. Nobody but the first rank waits, so that a rank can also vote where it may not
//! wait.

mod layout;
pub(crate) mod remote;

use crate::batch::vote::layout::{DONE, FAILED, OPEN, VoteSlot, VoteWords};
use crate::shm::event::Event;
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::Shareable;
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::view::View;
use crate::shm::wait::{Deadline, Stop, wait};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for VoteWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<VoteSlot> {}

/// What a rank makes of something that ranks do together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Vote {
    /// It has done its part.
    Done,
    /// It has failed, for this reason.
    Failed(String),
    /// It has not done its part.
    Open,
    /// It takes no part any more, from this round on.
    Left,
}

/// Why a rank's vote will not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Absent {
    Died(u32),
    Left(u32),
}

/// The slots of this node's ranks.
pub(crate) struct Votes(View<VoteWords, VoteSlot>);

/// The layout of a vote, on each node.
pub(crate) struct VoteLayout;

impl Layout for VoteLayout {
    fn length(&self, topology: &Topology) -> usize {
        View::<VoteWords, VoteSlot>::length(topology.local_ranks().len())
    }
}

impl Votes {
    /// Those in that part of an object's memory.
    pub(crate) fn new(part: Part<'_>) -> Self {
        Votes(View::new(part, part.block.seats_of_ranks()))
    }

    /// Says what this rank makes of the `round`th. Where the first rank is on another node, `tell`
    /// sends it there. Does not wait.
    pub(crate) fn cast(&self, round: u64, vote: &Vote, tell: impl FnOnce()) {
        if let RankLocation::Remote(_) = self.0.domain().topology().location(0) {
            return tell();
        }
        let slot = self.0.seat(self.0.me());
        let kind = match vote {
            Vote::Done => DONE,
            Vote::Failed(reason) => {
                slot.reason.set(reason);
                FAILED
            }
            Vote::Open => OPEN,
            Vote::Left => {
                slot.left.swap(1, Ordering::SeqCst);
                return self.futex_word().notify(1);
            }
        };
        slot.kind.store(kind, Ordering::Relaxed);
        // An exchange, so that the look at the sleeper comes after it.
        slot.round.swap(round, Ordering::SeqCst);
        self.futex_word().notify(1);
    }

    /// As the first rank: waits for what the others make of the `round`th, in the order of their
    /// ranks. `far` has heard what those of other nodes said.
    pub(crate) fn hear(
        &self,
        round: u64,
        far: impl Fn(u32, u64) -> Option<Vote>,
    ) -> Result<Vec<Vote>, Absent> {
        let size = self.0.domain().topology().size() as u32;
        (1..size)
            .map(|rank| match self.hear_one(rank, round, &far)? {
                Vote::Left => Err(Absent::Left(rank)),
                vote => Ok(vote),
            })
            .collect()
    }

    fn hear_one(
        &self,
        rank: u32,
        round: u64,
        far: &impl Fn(u32, u64) -> Option<Vote>,
    ) -> Result<Vote, Absent> {
        let said = || self.said(rank, round, far);
        let lives = || self.0.domain().rank_is_alive(rank as usize);
        let heard = wait(&self.0, self.futex_word(), Deadline::Never, said, || {
            // In this order: it may have said so before it died.
            if lives() || said().is_some() {
                return Ok(());
            }
            Err(Silent::Dead)
        });
        heard.map_err(|Silent::Dead| Absent::Died(rank))
    }

    /// Who takes no part any more, as far as is known.
    pub(crate) fn left(&self, far: impl Fn(u32, u64) -> Option<Vote>) -> Option<u32> {
        let size = self.0.domain().topology().size() as u32;
        // No round has this number.
        let has_left = |rank: &u32| self.said(*rank, u64::MAX, &far) == Some(Vote::Left);
        (1..size).find(has_left)
    }

    fn said(&self, rank: u32, round: u64, far: &impl Fn(u32, u64) -> Option<Vote>) -> Option<Vote> {
        let RankLocation::Local(seat) = self.0.domain().topology().location(rank as usize) else {
            return far(rank, round);
        };
        let slot = self.0.seat(seat);
        let has_left = slot.left.load(Ordering::Acquire) != 0;
        // In this order: it voted before it left.
        if slot.round.load(Ordering::Acquire) == round {
            return Some(match slot.kind.load(Ordering::Relaxed) {
                DONE => Vote::Done,
                FAILED => Vote::Failed(slot.reason.get()),
                _ => Vote::Open,
            });
        }
        has_left.then_some(Vote::Left)
    }

    fn futex_word(&self) -> Event<'_> {
        self.0.words().futex_word.0.event()
    }
}

/// Why a wait for a vote ended early.
enum Silent {
    Dead,
}

impl From<Stop> for Silent {
    fn from(_: Stop) -> Self {
        unreachable!("there is no deadline")
    }
}
