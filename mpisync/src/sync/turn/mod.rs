//! Ranks act one after the other, in rank order.

mod layout;
mod node;
mod remote;

use crate::error::{LockError, WaitReport, ended};
use crate::object::{Object, accessors};
use crate::shm::absence::absent;
use crate::shm::block::Block;
use crate::shm::layout::AnyLayout;
use crate::shm::wait::{Deadline, Stop, Surroundings};
use crate::shm::waiting::want::{Want, Wanted};
use crate::shm::waiting::{Awaited, BlockSubject, Call};
use crate::span::{Activity, Hold};
use crate::sync::spec::Spec;
use crate::sync::turn::node::{TurnLayout, Turns};
use crate::sync::turn::remote::TurnNodes;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A turn that goes around the ranks of a communicator in rank order: rank 0, rank 1, and after the
/// last rank again rank 0.
///
/// Made by [`Turn::new`] or [`Turn::builder`], or for one process without MPI by [`Turn::local`].
/// Taking the turn waits until all lower ranks have had it in this round and, from the second round
/// on, all higher ranks in the round before. So at most one rank has the turn at any time.
///
/// Passing the turn on costs one atomic operation if the next rank is on the same node, and
/// otherwise one message, whose sender does not wait. A rank that panics during its turn passes the
/// turn on. A rank that never takes its turn blocks the others. If a rank dies before it has passed
/// its turn on, all ranks that wait for theirs get an error.
///
/// A turn stays on the thread that made it. Dropping it is local.
///
/// ```
/// use mpisync::Turn;
///
/// let mut turn = Turn::local();
/// turn.each(|rank| println!("rank {rank} prints"));
/// ```
pub struct Turn {
    object: Object,
    turns: Turns,
    /// The other nodes, if there are any.
    nodes: Option<TurnNodes>,
    /// The number of this rank's next turn.
    next: Cell<u64>,
    /// Whether this rank has its turn now.
    has_turn: Cell<bool>,
    hold: Hold,
}

/// The reason why this rank does not have its turn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The time limit passed. The turn still comes to this rank, and a later call can take it.
    #[error("it was not this rank's turn within {waited:?}{report}")]
    Timeout {
        /// The time limit.
        waited: Duration,
        /// The turn, the rank that has it if known, and what that is doing.
        report: WaitReport,
    },
    /// A rank died before it passed its turn on, so no rank can have the turn any more.
    #[error(
        "rank {rank} died before its turn was over; `mpisync::survivors` lets the others go on without it"
    )]
    RankDied {
        /// The dead rank.
        rank: i32,
    },
    /// A rank ended before its turn was over: its universe was dropped, or it finalizes MPI.
    #[error("rank {rank} {} before its turn was over", ended(*.panicked))]
    RankEnded {
        /// The rank.
        rank: i32,
        /// Whether its thread was panicking.
        panicked: bool,
    },
    /// A rank left the `#[collective]` call in which this rank waits for it. The call's own error
    /// tells why.
    #[error("rank {rank} has left the collective call in which this rank waits for it")]
    RankLeft {
        /// The rank.
        rank: i32,
    },
    /// MPI was finalized, a host is lost, or the wait is a part of a deadlock.
    #[error(transparent)]
    Lock(#[from] LockError),
}

absent!(TurnError);

impl Turn {
    /// Makes a turn for this process alone. Needs no MPI, neither to run nor (without the feature
    /// `mpi`) to build.
    pub fn local() -> Self {
        TurnOf.local()
    }

    /// Takes this rank's turn. Waits until it comes. Not collective, but every rank must take its
    /// turn: the ranks after it wait for that.
    ///
    /// # Panics
    /// Where [`take_timeout`](Self::take_timeout) would return an error: a rank died, or MPI is
    /// finalized.
    #[track_caller]
    pub fn take(&mut self) -> TurnGuard<'_> {
        match self.wait(None) {
            Ok(()) => self.guard(Location::caller()),
            Err(error) => self.object.panic_with(&error),
        }
    }

    /// Takes this rank's turn if it has come. Does not wait, and does not report dead ranks. Not
    /// collective.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_take(&mut self) -> Option<TurnGuard<'_>> {
        if let Err(error) = self.object.check_usable() {
            self.object.panic_with(&error);
        }
        self.pass_on_leaked();
        // The message that passes the turn to this rank may have arrived.
        self.object.block().domain().progress();
        let is_mine = self.turns.has_come(self.next.get());
        let location = Location::caller();
        is_mine.then(|| self.guard(location))
    }

    /// Takes this rank's turn. Waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`TurnError::Timeout`], [`TurnError::RankDied`], [`TurnError::RankEnded`],
    /// [`TurnError::RankLeft`], [`LockError::Finalized`], [`LockError::Deadlock`].
    #[track_caller]
    pub fn take_timeout(&mut self, limit: Duration) -> Result<TurnGuard<'_>, TurnError> {
        self.wait(Some(limit))?;
        Ok(self.guard(Location::caller()))
    }

    /// Runs `body` with the rank's number, on one rank after the other in rank order. Collective,
    /// but each call returns as soon as its own `body` has finished.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    #[track_caller]
    pub fn each<R>(&mut self, body: impl FnOnce(i32) -> R) -> R {
        let rank = self.rank();
        let _mine = self.take();
        body(rank)
    }

    #[track_caller]
    fn wait(&mut self, limit: Option<Duration>) -> Result<(), TurnError> {
        self.object.check_usable()?;
        self.pass_on_leaked();
        let call = Call::new(self, "take", Location::caller());
        let deadline = Deadline::within(limit).of(call);
        let waited = self.turns.wait_for(self.next.get(), deadline);
        waited.map_err(|stop| match stop {
            Stop::Timeout => {
                let waited = limit.unwrap_or(Duration::MAX);
                let report = call.report(waited);
                TurnError::Timeout { waited, report }
            }
            Stop::Absent(rank, absence) => TurnError::absent(rank, absence),
            stop => stop.into_error().into(),
        })
    }

    fn guard(&self, location: &'static Location<'static>) -> TurnGuard<'_> {
        self.has_turn.set(true);
        self.hold
            .begin(|| self.object.block().holds(Activity::Hold, Some(location)));
        TurnGuard { turn: self }
    }

    /// Passes the turn on if a leaked guard (`mem::forget`) has not: no guard is alive while the
    /// turn is borrowed mutably.
    fn pass_on_leaked(&mut self) {
        if self.has_turn.get() {
            self.pass_on();
        }
    }

    fn pass_on(&self) {
        self.has_turn.set(false);
        let _ended = self.hold.end();
        let over = self.next.get() + 1;
        self.next.set(self.next.get() + self.size() as u64);
        self.turns.pass_on(over, |over, rank| {
            if let Some(nodes) = &self.nodes {
                nodes.pass_on(over, rank);
            }
        });
    }

    accessors!(object; Self::pass_on_leaked);
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pass_on_leaked();
    }
}

/// The arguments of a [`Turn`].
#[non_exhaustive]
#[derive(Debug)]
pub struct TurnOf;

impl Spec for TurnOf {
    type Made = Turn;
    const KIND: &'static str = "turn";

    fn layout(&self, _: i32) -> AnyLayout {
        AnyLayout::new(TurnLayout)
    }

    fn make(self, object: Object) -> Turn {
        Turn {
            turns: Turns::new(object.block().first_part()),
            nodes: object.link().map(TurnNodes::open),
            next: Cell::new(object.rank() as u64),
            has_turn: Cell::new(false),
            hold: Hold::default(),
            object,
        }
    }
}

impl BlockSubject for Turn {
    fn block(&self) -> &Block {
        self.object.block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        Awaited::all([self.turns.holder()], "has the turn, or has not taken it")
    }

    fn want(&self) -> Option<Want> {
        let turn = Wanted::Turn(self.next.get());
        Some(Want::of_each(self.object.block().global()?, turn))
    }
}

/// Shows the rank whose turn it is, as far as this node knows. If that is a rank of another node,
/// the turn may have moved on.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = self.turns.over();
        self.object
            .show(f, "Turn")
            .field("turn_of", &self.turns.holder())
            .field("round", &(over / self.size() as u64))
            .finish_non_exhaustive()
    }
}

/// This rank's turn, until the guard is dropped. The turn of a leaked guard (`mem::forget`) ends
/// with this rank's next call that takes the turn, or when the [`Turn`] is closed or dropped.
#[must_use = "the turn passes on at once, with `let _ = …` too; write `let _mine = …`, or use `each`"]
pub struct TurnGuard<'a> {
    turn: &'a Turn,
}

impl TurnGuard<'_> {
    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.turn.rank()
    }
}

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        self.turn.pass_on();
    }
}

impl fmt::Debug for TurnGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TurnGuard").field(self.turn).finish()
    }
}
