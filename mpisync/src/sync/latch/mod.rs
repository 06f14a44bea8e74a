//! Waiting until a count has reached zero.

mod node;
mod remote;
#[cfg(all(test, not(loom)))]
mod tests;

use crate::error::{LockError, WaitReport, ended};
use crate::object::{Object, accessors};
use crate::shm::absence::absent;
use crate::shm::block::Block;
use crate::shm::layout::AnyLayout;
use crate::shm::wait::{Deadline, Stop};
use crate::shm::waiting::want::{Want, Wanted};
use crate::shm::waiting::{Awaited, BlockSubject, Call, Needs};
use crate::sync::latch::node::{LatchLayout, LatchState};
use crate::sync::latch::remote::LatchClient;
use crate::sync::spec::Spec;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A count that ranks of a communicator decrement. The latch opens at zero and stays open.
///
/// Made by [`Latch::new`] or [`Latch::builder`], or for one process without MPI by
/// [`Latch::local`]. Any rank may count down, any number of times and by any amount, and any rank
/// may wait; neither is collective. Everything that a rank does before it counts down is visible to
/// every rank that has waited. A latch cannot be reset, like `std::latch` of C++20 (ISO/IEC
/// 14882:2020, 32.8.1); if all ranks wait for each other repeatedly, use a
/// [`Barrier`](crate::Barrier).
///
/// On the root's node, counting down is two atomic operations, and a waiting rank sleeps in shared
/// memory. From other nodes, each call costs one round trip to the root's node, and
/// [`wait`](Self::wait) waits for an answer that comes when the latch opens.
///
/// # Ranks that die or end
/// A wait fails with [`LatchError::RankDied`] or [`LatchError::RankEnded`] if a rank has died or
/// ended and the latch cannot open without it. There are two such cases:
/// - The rank died or ended before it counted down at all, and the count that remains is larger than the
///   number of living ranks that have not counted down either. Each of those is expected to count
///   down by one.
/// - All living ranks wait without a time limit.
///
/// A rank that waits without a time limit is not expected to count down. All ranks that wait at
/// that time or later get the error, unless the latch still opens.
///
/// A latch stays on the thread that made it. Dropping it is local.
///
/// ```
/// use mpisync::Latch;
/// use std::time::Duration;
///
/// let ready = Latch::local(3);
/// ready.count_down(2)?;
/// assert_eq!(ready.remaining(), 1);
/// ready.count_down(1)?;
/// ready.wait();
/// ready.wait_timeout(Duration::from_secs(1))?;
/// # Ok::<(), mpisync::sync::LatchError>(())
/// ```
pub struct Latch {
    object: Object,
    side: Side,
}

/// Where the latch is, seen from this rank.
enum Side {
    /// On this node.
    Local(LatchState),
    /// On another node.
    Remote(LatchClient),
}

/// The reason why a latch was not counted down, or a wait failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LatchError {
    /// The amount is larger than the remaining count. The count is unchanged.
    #[error(
        "cannot count down by {asked}, because {remaining} remain; make the latch with the sum of all counts"
    )]
    TooMany {
        /// The amount.
        asked: u64,
        /// The remaining count.
        remaining: u64,
    },
    /// The latch did not open in time.
    #[error(
        "the latch did not open within {waited:?}: {remaining} remain, and the ranks {missing:?} have not counted down{report}"
    )]
    Missing {
        /// The time limit.
        waited: Duration,
        /// The remaining count.
        remaining: u64,
        /// The ranks that have not counted down at all, in ascending order. Empty if each rank has
        /// counted down at least once.
        missing: Vec<i32>,
        /// The latch, and what the missing ranks of this node are doing, if the root is on it.
        report: WaitReport,
    },
    /// The latch did not open in time, and the root's node did not answer which ranks are missing.
    #[error(
        "the latch did not open within {waited:?}, and the node of rank {root}, the root, does not answer: its lowest \
         rank computes without a progress thread, or is gone"
    )]
    NoAnswer {
        /// The time limit.
        waited: Duration,
        /// The root.
        root: i32,
    },
    /// A rank died, and the latch cannot open without it.
    #[error(
        "rank {rank} died, and the latch cannot open without it; go on with a communicator of the ranks that are left"
    )]
    RankDied {
        /// The dead rank.
        rank: i32,
    },
    /// A rank ended, and the latch cannot open without it: its universe was dropped, or it
    /// finalizes MPI.
    #[error("rank {rank} {}, and the latch cannot open without it", ended(*.panicked))]
    RankEnded {
        /// The rank.
        rank: i32,
        /// Whether its thread was panicking.
        panicked: bool,
    },
    /// MPI was finalized, a host is lost, or the wait is a part of a deadlock.
    #[error(transparent)]
    Lock(#[from] LockError),
}

absent!(LatchError, rank => unreachable!("a latch waits for ranks in any call: {rank}"));

/// The remaining count, and the ranks that have not counted down at all.
type Remaining = (u64, Vec<u32>);

impl Latch {
    /// Makes a latch for this process alone. Needs no MPI, neither to run nor (without the feature
    /// `mpi`) to build. A latch with the count 0 is open.
    pub fn local(count: u64) -> Self {
        LatchOf { count }.local()
    }

    /// Counts down by `count`. Not collective. Waits for one round trip if the root is on another
    /// node. Counting down by 0 does not make this rank one that has counted down.
    ///
    /// # Errors
    /// [`LatchError::TooMany`] if the remaining count is less than `count`,
    /// [`LockError::Finalized`]. The count is unchanged then.
    pub fn count_down(&self, count: u64) -> Result<(), LatchError> {
        self.object.check_usable()?;
        let counted = match &self.side {
            Side::Local(latch) => latch.count_down(self.object.rank() as u32, count),
            Side::Remote(client) => client
                .count_down(self.object.block(), count)
                .map_err(LockError::from)?,
        };
        counted.map_err(|remaining| LatchError::TooMany {
            asked: count,
            remaining,
        })
    }

    /// Waits until the latch is open. Not collective.
    ///
    /// # Panics
    /// Where [`wait_timeout`](Self::wait_timeout) with [`Duration::MAX`] would return an error: the
    /// latch cannot open without a rank that has died, MPI is finalized, or the communicator has
    /// only one rank.
    #[track_caller]
    pub fn wait(&self) {
        if let Err(error) = self.wait_within(None) {
            self.object.panic_with(&error);
        }
    }

    /// Waits for at most `limit` until the latch is open. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic. If the limit passes
    /// and the root is on another node, the call asks that node which ranks are missing, for at
    /// most a fifth of a second.
    ///
    /// # Errors
    /// [`LatchError::Missing`], which names the ranks that have not counted down at all;
    /// [`LatchError::NoAnswer`], [`LatchError::RankDied`], [`LatchError::RankEnded`],
    /// [`LockError::Finalized`], and
    /// [`LockError::Alone`] if `limit` never expires and the communicator has only one rank.
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<(), LatchError> {
        self.wait_within(Some(limit))
    }

    /// Whether the latch is open. Not collective. Waits for one round trip if the root is on
    /// another node and this rank does not know yet that the latch is open.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn is_open(&self) -> bool {
        self.remaining() == 0
    }

    /// The remaining count. Not collective. Waits for one round trip if the root is on another node
    /// and this rank does not know yet that the latch is open.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn remaining(&self) -> u64 {
        if let Err(error) = self.object.check_usable() {
            self.object.panic_with(&error);
        }
        match &self.side {
            Side::Local(latch) => latch.remaining(),
            Side::Remote(client) => client
                .remaining(self.object.block())
                .unwrap_or_else(|loss| self.object.panic_with(&LockError::from(loss))),
        }
    }

    accessors!(root, object; |_| {});

    #[track_caller]
    fn wait_within(&self, limit: Option<Duration>) -> Result<(), LatchError> {
        self.object.check_usable()?;
        let call = Call::new(self, "wait", Location::caller());
        let deadline = Deadline::within(limit).of(call);
        if deadline.is_never() && self.size() == 1 && !self.is_open() {
            return Err(LockError::Alone.into());
        }
        let waited = match &self.side {
            Side::Local(latch) => latch.wait(self.object.rank() as u32, deadline),
            Side::Remote(client) => client.wait(self.object.block(), deadline),
        };
        waited.or_else(|stop| self.explain(stop, limit.unwrap_or(Duration::MAX), call))
    }

    /// The error for a wait that has stopped. `Ok` if the latch has opened since.
    #[cold]
    fn explain(&self, stop: Stop, waited: Duration, call: Call<'_>) -> Result<(), LatchError> {
        match stop {
            Stop::HostLost(_) | Stop::Deadlock | Stop::Interrupted => {
                return Err(stop.into_error().into());
            }
            Stop::Absent(rank, absence) => return Err(LatchError::absent(rank, absence)),
            _ => {}
        }
        let found = match &self.side {
            Side::Local(latch) => Some(latch.missing()),
            Side::Remote(client) => client.missing(self.object.block()),
        };
        match found {
            Some((0, _)) => Ok(()),
            Some((remaining, missing)) => Err(LatchError::Missing {
                waited,
                remaining,
                missing: missing.into_iter().map(|rank| rank as i32).collect(),
                report: call.report(waited),
            }),
            None => Err(LatchError::NoAnswer {
                waited,
                root: self.root(),
            }),
        }
    }
}

/// The arguments of a [`Latch`].
#[derive(Debug)]
pub struct LatchOf {
    pub(super) count: u64,
}

impl Spec for LatchOf {
    type Made = Latch;
    const KIND: &'static str = "latch";

    fn arguments(&self) -> Vec<(&'static str, String)> {
        vec![("count", self.count.to_string())]
    }

    fn layout(&self, root: i32) -> AnyLayout {
        let count = self.count;
        AnyLayout::new(LatchLayout { root, count })
    }

    fn make(self, object: Object) -> Latch {
        let side = match object.link().and_then(LatchClient::open) {
            Some(client) => Side::Remote(client),
            None => Side::Local(LatchState::new(object.block())),
        };
        Latch { object, side }
    }
}

impl BlockSubject for Latch {
    fn block(&self) -> &Block {
        self.object.block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        match &self.side {
            Side::Local(latch) => Awaited::all(latch.missing().1, "has not counted down"),
            Side::Remote(_) => Vec::new(),
        }
    }

    /// Any rank may count down, as often as it likes.
    fn needs(&self) -> Needs {
        Needs::any_other(self.object.block().domain())
    }

    fn want(&self) -> Option<Want> {
        let block = self.object.block();
        Want::of_any(block.domain(), block.global()?, Wanted::Open)
    }
}

/// Shows the remaining count and the ranks that have not counted down, if the root is on this node;
/// a snapshot that may be out of date.
impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.object.show(f, "Latch");
        fields.field("root", &self.root());
        if let Side::Local(latch) = &self.side {
            let (remaining, missing) = latch.missing();
            fields
                .field("remaining", &remaining)
                .field("missing", &missing);
        }
        fields.finish_non_exhaustive()
    }
}
