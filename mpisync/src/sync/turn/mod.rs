//! Ranks that do something one after the other, in the order of their numbers.

mod layout;
mod node;
mod remote;

use crate::error::{LockError, WaitReport};
use crate::object::{Object, accessors};
use crate::shm::domain::Domain;
use crate::shm::layout::AnyLayout;
use crate::shm::wait::{Deadline, Stop, Surroundings};
use crate::shm::waiting::{Awaited, Call, Label, Subject};
use crate::sync::spec::Spec;
use crate::sync::turn::node::{TurnLayout, Turns};
use crate::sync::turn::remote::TurnNodes;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A turn that goes from rank to rank in the order of their numbers, round and round: rank 0, rank
/// 1, and after the last one rank 0 again.
///
/// Made by [`Turn::new`] or [`Turn::builder`], and for one process without MPI by [`Turn::local`].
/// A rank waits until all ranks before it have had their turn in this round, and, from the second
/// round on, all behind it theirs in the round before; so one rank has the turn at any time.
/// Passing it on takes one store on a node, and one message to another one, for which nobody waits
/// but who is next. A rank that panics in its turn lets the next one go on. A rank that never takes
/// its turn keeps the others waiting; one that dies before its turn is over is an error on all that
/// wait for theirs.
///
/// It stays on the thread that made it. Dropping it is local.
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
}

/// Why this rank does not have its turn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The time was up. The turn comes to this rank all the same, and it can still take it.
    #[error("it was not this rank's turn within {waited:?}{report}")]
    Timeout {
        /// How long this rank was ready to wait.
        waited: Duration,
        /// The turn, the rank that has it if known, and what that is doing.
        report: WaitReport,
    },
    /// A rank died before its turn was over, so that no other comes to have one.
    #[error(
        "rank {rank} died before its turn was over; go on with a communicator of the ranks that are left"
    )]
    RankDied {
        /// The rank.
        rank: i32,
    },
    /// MPI was finalized.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Turn {
    /// A turn of this process alone. Needs no MPI, neither to run nor (without the feature `mpi`)
    /// to build.
    pub fn local() -> Self {
        TurnOf.local()
    }

    /// Takes this rank's turn; waits until it comes. Every rank has to do so, or the others wait
    /// for it.
    ///
    /// # Panics
    /// Where [`take_timeout`](Self::take_timeout) would return an error: a rank died, or MPI is
    /// finalized.
    #[track_caller]
    pub fn take(&mut self) -> TurnGuard<'_> {
        match self.wait(None) {
            Ok(()) => self.guard(),
            Err(error) => self.object.panic_with(&error),
        }
    }

    /// Takes this rank's turn if it has come. Does not wait, and does not tell of ranks that died.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_take(&mut self) -> Option<TurnGuard<'_>> {
        if let Err(error) = self.object.check_usable() {
            self.object.panic_with(&error);
        }
        self.pass_on_leaked();
        // The message that brings it may be here.
        self.object.block().domain().progress();
        let is_mine = self.turns.over() >= self.next.get();
        is_mine.then(|| self.guard())
    }

    /// Takes this rank's turn; waits for `limit` at most. Pass [`Duration::MAX`] to wait
    /// indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`TurnError::Timeout`], [`TurnError::RankDied`], [`LockError::Finalized`].
    #[track_caller]
    pub fn take_timeout(&mut self, limit: Duration) -> Result<TurnGuard<'_>, TurnError> {
        self.wait(Some(limit))?;
        Ok(self.guard())
    }

    /// Runs `body` on all ranks, one after the other in the order of their numbers, with the rank's
    /// number. All ranks have to call this, but each returns as soon as its own part is done.
    ///
    /// # Panics
    /// Those of [`take`](Self::take).
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
            Stop::RankDied(rank) => TurnError::RankDied { rank: rank as i32 },
            Stop::Died(_) => unreachable!("a turn names ranks, not local ranks"),
        })
    }

    fn guard(&self) -> TurnGuard<'_> {
        self.has_turn.set(true);
        TurnGuard { turn: self }
    }

    /// Passes the turn on if a guard that was leaked (`mem::forget`) has not: no guard is alive
    /// while the turn is borrowed mutably.
    fn pass_on_leaked(&mut self) {
        if self.has_turn.get() {
            self.pass_on();
        }
    }

    fn pass_on(&self) {
        self.has_turn.set(false);
        let over = self.next.get() + 1;
        self.next.set(self.next.get() + self.size() as u64);
        self.turns.pass_on(over, |rank| {
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

/// A turn to be made.
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
            object,
        }
    }
}

impl Subject for Turn {
    fn domain(&self) -> &Domain {
        self.object.block().domain()
    }

    fn label(&self) -> Label<'_> {
        self.object.block().label()
    }

    fn awaited(&self) -> Vec<Awaited> {
        let rank = self.turns.rank_of(self.turns.over());
        Awaited::all([rank], "has the turn, or has not taken it")
    }
}

/// Whose turn it is, as far as this node knows: where it is that of a rank elsewhere, it may be a
/// later one's.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = self.turns.over();
        self.object
            .show(f, "Turn")
            .field("turn_of", &self.turns.rank_of(over))
            .field("round", &(over / self.size() as u64))
            .finish_non_exhaustive()
    }
}

/// This rank's turn, until this is dropped. One that is leaked (`mem::forget`) ends with this
/// rank's next call of a method that takes the turn, or when the turn is closed or dropped.
#[must_use = "the turn passes on at once, with `let _ = …` too; write `let _mine = …`, or use `each`"]
pub struct TurnGuard<'a> {
    turn: &'a Turn,
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
