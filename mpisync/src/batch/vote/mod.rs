//! Votes: round after round, the ranks of a worker report to its first rank.
//!
//! Each rank has a slot of its own on its node. If the first rank is on another node, the rank
//! sends it a message instead. Only the first rank waits, so a rank can also vote in a drop.

mod remote;

use crate::batch::behind_mailbox;
use crate::batch::vote::remote::RemoteVotes;
use crate::object::Object;
use crate::share::OuterCall;
use crate::shm::absence::{Absence, HostLoss};
use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::cells::Text;
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

/// The vote of one rank. Stored by this rank only. All zero: no vote yet.
#[repr(C)]
struct VoteSlot {
    /// The round of the vote; stored after the rest.
    round: AtomicU64,
    /// [`DONE`], [`FAILED`], [`OPEN`] or [`DROPPED`].
    kind: AtomicU32,
    /// Nonzero once the rank has left.
    left: AtomicU32,
    /// Why it failed.
    reason: Text<60>,
}

/// `kind`: [`Vote::Done`].
const DONE: u32 = 1;
/// `kind`: [`Vote::Failed`].
const FAILED: u32 = 2;
/// `kind`: [`Vote::Open`].
const OPEN: u32 = 3;
/// `kind`: [`Vote::Dropped`].
const DROPPED: u32 = 4;

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for VoteWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<VoteSlot> {}

/// The vote of a rank on the task of a round.
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
    /// The rank takes part in no more rounds, from this one on.
    Left,
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

    /// Casts this rank's vote on a round. Does not wait.
    pub(super) fn cast(&self, round: u64, vote: &Vote) {
        if let RankLocation::Remote(_) = self.slots.domain().topology().location(0) {
            if let Some(remote) = &self.remote {
                remote.cast(round, vote.clone());
            }
            return;
        }
        let slot = self.slots.slot(self.slots.me());
        let kind = match vote {
            Vote::Done => DONE,
            Vote::Failed(reason) => {
                slot.reason.set(reason);
                FAILED
            }
            Vote::Open => OPEN,
            Vote::Dropped => DROPPED,
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

    /// As the first rank: waits for the votes of the other ranks on a round, in the order of the
    /// ranks, in a call of the batch.
    pub(super) fn wait(&self, round: u64, outer: &OuterCall<'_>) -> Result<Vec<Vote>, Absent> {
        let size = self.slots.domain().topology().size() as u32;
        (1..size)
            .map(|rank| match self.wait_for(rank, round, outer)? {
                Vote::Left => Err(Absent::Left(rank)),
                vote => Ok(vote),
            })
            .collect()
    }

    fn wait_for(&self, rank: u32, round: u64, outer: &OuterCall<'_>) -> Result<Vote, Absent> {
        let vote = || self.vote(rank, round);
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

    /// A rank that has left, if any is known.
    pub(super) fn left(&self) -> Option<u32> {
        let size = self.slots.domain().topology().size() as u32;
        // No round has this number.
        (1..size).find(|rank| self.vote(*rank, u64::MAX) == Some(Vote::Left))
    }

    /// The vote of a rank on a round, if it is there.
    fn vote(&self, rank: u32, round: u64) -> Option<Vote> {
        let location = self.slots.domain().topology().location(rank as usize);
        let RankLocation::Local(slot) = location else {
            return self.remote.as_ref()?.vote(rank, round);
        };
        let slot = self.slots.slot(slot);
        let has_left = slot.left.load(Ordering::Acquire) != 0;
        // In this order: it voted before it left.
        if slot.round.load(Ordering::Acquire) == round {
            return Some(match slot.kind.load(Ordering::Relaxed) {
                DONE => Vote::Done,
                FAILED => Vote::Failed(slot.reason.get()),
                DROPPED => Vote::Dropped,
                _ => Vote::Open,
            });
        }
        has_left.then_some(Vote::Left)
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
