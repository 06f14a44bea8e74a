//! Votes: round after round, the ranks of a worker report to its first rank what has become of each
//! task of the round.
//!
//! Each rank has a slot of its own on its node, with a word for each task of a round. If the first
//! rank is on another node, the rank sends it a message instead. Only the first rank waits, so a rank
//! can also vote in a drop, and the ranks may end the tasks of a round in different orders.

mod remote;

use crate::batch::behind_mailbox;
use crate::batch::table::layout::MOST_AT_ONCE;
use crate::batch::vote::remote::RemoteVotes;
use crate::object::Object;
use crate::share::OuterCall;
use crate::shm::absence::{Absence, HostLoss};
use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::cells::{set_text, text_in};
use crate::shm::event::{Event, FutexWord};
use crate::shm::layout::Layout;
use crate::shm::line::Line;
use crate::shm::mapping::Shareable;
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::view::View;
use crate::shm::wait::{Deadline, Stop, wait};
use crate::shm::waiting::{Awaited, Call};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// The words that the ranks of a node share. Initially all zero.
#[repr(C, align(128))]
struct VoteWords {
    /// Where the first rank sleeps while it waits for votes.
    futex_word: Line<FutexWord>,
}

/// The votes of one rank. Stored by this rank only. All zero: no vote yet.
#[repr(C)]
struct VoteSlot {
    /// For each task of a round, by its position: the round (bits 3 to 63) and what the vote is,
    /// [`DONE`], [`FAILED`], [`OPEN`] or [`DROPPED`]. Stored after the reason.
    votes: [AtomicU64; MOST_AT_ONCE],
    /// Nonzero once the rank has left.
    left: AtomicU32,
    /// Why tasks failed, by their positions; the tasks of a round have equal parts of it.
    reasons: [AtomicU64; REASONS],
}

/// The most cells of the reason why a task failed: its length and 480 bytes.
const REASON: usize = 61;
/// The cells of the reasons in a slot: up to 16 tasks of a round have as many as a reason can have.
const REASONS: usize = 16 * REASON;

/// A vote: [`Vote::Done`].
const DONE: u64 = 1;
/// A vote: [`Vote::Failed`].
const FAILED: u64 = 2;
/// A vote: [`Vote::Open`].
const OPEN: u64 = 3;
/// A vote: [`Vote::Dropped`].
const DROPPED: u64 = 4;
/// The bits of a word that say what the vote is.
const KIND: u64 = 0b111;

impl VoteSlot {
    /// The cells of the reason why a task failed.
    fn reason(&self, on: TaskOfRound) -> &[AtomicU64] {
        let length = (REASONS / on.tasks).min(REASON);
        &self.reasons[on.position * length..][..length]
    }
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for VoteWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<VoteSlot> {}

/// A task on which the ranks of a worker vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskOfRound {
    pub(super) round: u64,
    /// Its position among the tasks of the round.
    pub(super) position: usize,
    /// The number of tasks of the round, from 1 to [`MOST_AT_ONCE`].
    pub(super) tasks: usize,
}

impl TaskOfRound {
    /// The word of a vote on it, without the vote.
    fn word(self) -> u64 {
        self.round << KIND.count_ones()
    }
}

/// The vote of a rank on a task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Vote {
    /// The rank has done its part.
    Done,
    /// The rank has failed, for this reason.
    Failed(String),
    /// The rank has not done its part: the task is open again.
    Open,
    /// The rank has dropped the task, and has not said what became of it.
    Dropped,
}

/// The reason why the vote of a rank will not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Absent {
    Died(u32),
    Ended(u32),
    Left(u32),
    /// A host is lost.
    HostLost(HostLoss),
    /// The program has ended the wait.
    Interrupted,
}

/// The layout of the votes, on each node.
pub(super) struct VoteLayout;

impl Layout for VoteLayout {
    fn length(&self, topology: &Topology) -> usize {
        View::<VoteWords, VoteSlot>::length(topology.local_ranks().len())
    }
}

/// The votes of an object's ranks, as one rank sees them.
pub(super) struct Votes {
    /// The slots of this node's ranks.
    slots: View<VoteWords, VoteSlot>,
    /// The votes of other nodes, if there are any.
    remote: Option<RemoteVotes>,
}

impl Votes {
    /// The votes of an object whose memory has a mailbox and then [`VoteLayout`].
    pub(super) fn open(object: &Object) -> Self {
        let part = behind_mailbox(object.block());
        Votes {
            slots: View::new(part, part.block.local_size()),
            remote: object.link().map(RemoteVotes::open),
        }
    }

    /// Casts this rank's vote on a task. Does not wait.
    pub(super) fn cast(&self, on: TaskOfRound, vote: &Vote) {
        if self.is_remote() {
            if let Some(remote) = &self.remote {
                remote.cast(on, vote.clone());
            }
            return;
        }
        let slot = self.slots.slot(self.slots.me());
        let kind = match vote {
            Vote::Done => DONE,
            Vote::Failed(reason) => {
                set_text(slot.reason(on), reason);
                FAILED
            }
            Vote::Open => OPEN,
            Vote::Dropped => DROPPED,
        };
        // An exchange, so that the look at the sleeper comes after it.
        slot.votes[on.position].swap(on.word() | kind, Ordering::SeqCst);
        self.futex_word().notify(1);
    }

    /// Says that this rank takes part in no more rounds. Does not wait.
    pub(super) fn leave(&self) {
        if self.is_remote() {
            if let Some(remote) = &self.remote {
                remote.leave();
            }
            return;
        }
        let slot = self.slots.slot(self.slots.me());
        slot.left.swap(1, Ordering::SeqCst);
        self.futex_word().notify(1);
    }

    /// Whether the first rank is on another node.
    fn is_remote(&self) -> bool {
        let location = self.slots.domain().topology().location(0);
        matches!(location, RankLocation::Remote(_))
    }

    /// As the first rank: waits for the votes of the other ranks on a task, in the order of the
    /// ranks, in a call of the batch.
    pub(super) fn wait(&self, on: TaskOfRound, outer: &OuterCall<'_>) -> Result<Vec<Vote>, Absent> {
        let size = self.slots.domain().topology().size() as u32;
        (1..size)
            .map(|rank| self.wait_for(rank, on, outer)?.ok_or(Absent::Left(rank)))
            .collect()
    }

    /// Waits for the vote of a rank; none if the rank has left before.
    fn wait_for(
        &self,
        rank: u32,
        on: TaskOfRound,
        outer: &OuterCall<'_>,
    ) -> Result<Option<Vote>, Absent> {
        let vote = || {
            // In this order: it votes before it leaves.
            let has_left = self.has_left(rank);
            let vote = self.vote(rank, on);
            (has_left || vote.is_some()).then_some(vote)
        };
        let absence = || {
            let departure = self.slots.domain().departure(rank as usize);
            departure.or_else(|| outer.absence(rank as usize))
        };
        let awaited = || outer.translated(Awaited::all([rank], "has not ended it"));
        let subject = outer.block.awaits(awaited);
        let call = Call::internal(&subject, outer.name).interruptible();
        let voted = wait(
            &self.slots,
            self.futex_word(),
            Deadline::NEVER.of(call),
            vote,
            || {
                // In this order: it may have voted before it died, ended or left.
                match absence() {
                    Some(absence) if vote().is_none() => Err(NoVote::Absent(absence)),
                    _ => Ok(()),
                }
            },
        );
        voted.map_err(|no_vote| match no_vote {
            NoVote::Absent(Absence::Died) => Absent::Died(rank),
            NoVote::Absent(Absence::Ended { .. }) => Absent::Ended(rank),
            NoVote::Absent(Absence::Left) => Absent::Left(rank),
            NoVote::HostLost(loss) => Absent::HostLost(loss),
            NoVote::Interrupted => Absent::Interrupted,
        })
    }

    /// Whether [`wait`](Self::wait) does not wait. If it `inspects`, it looks for ranks that will not
    /// vote.
    pub(super) fn are_in(&self, on: TaskOfRound, outer: &OuterCall<'_>, inspects: bool) -> bool {
        let domain = self.slots.domain();
        let is_absent = |rank: u32| {
            let rank = rank as usize;
            domain.departure(rank).is_some() || outer.absence(rank).is_some()
        };
        let mut others = 1..domain.topology().size() as u32;
        others.all(|rank| {
            self.has_left(rank) || self.vote(rank, on).is_some() || inspects && is_absent(rank)
        })
    }

    /// A rank that has left, if any is known.
    pub(super) fn left(&self) -> Option<u32> {
        let size = self.slots.domain().topology().size() as u32;
        (1..size).find(|rank| self.has_left(*rank))
    }

    fn has_left(&self, rank: u32) -> bool {
        let location = self.slots.domain().topology().location(rank as usize);
        let RankLocation::Local(slot) = location else {
            let remote = self.remote.as_ref();
            return remote.is_some_and(|remote| remote.has_left(rank));
        };
        self.slots.slot(slot).left.load(Ordering::Acquire) != 0
    }

    /// The vote of a rank on a task, if it is there.
    fn vote(&self, rank: u32, on: TaskOfRound) -> Option<Vote> {
        let location = self.slots.domain().topology().location(rank as usize);
        let RankLocation::Local(slot) = location else {
            return self.remote.as_ref()?.vote(rank, on);
        };
        let slot = self.slots.slot(slot);
        let word = slot.votes[on.position].load(Ordering::Acquire);
        (word & !KIND == on.word() && word & KIND != 0).then(|| match word & KIND {
            DONE => Vote::Done,
            FAILED => Vote::Failed(text_in(slot.reason(on))),
            DROPPED => Vote::Dropped,
            _ => Vote::Open,
        })
    }

    fn futex_word(&self) -> Event<'_> {
        self.slots.words().futex_word.0.event()
    }
}

/// Why a rank does not vote.
enum NoVote {
    /// It died, ended or left before.
    Absent(Absence),
    HostLost(HostLoss),
    Interrupted,
}

impl From<Stop> for NoVote {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupted => NoVote::Interrupted,
            stop => NoVote::HostLost(stop.expect_host_loss()),
        }
    }
}
