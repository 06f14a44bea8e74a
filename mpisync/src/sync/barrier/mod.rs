//! All ranks wait for each other, and learn which are missing.

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
use crate::sync::barrier::node::{BarrierLayout, Dissemination, Signal};
use crate::sync::barrier::remote::BarrierNodes;
use crate::sync::spec::Spec;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A reusable barrier: no rank of a communicator passes it before all ranks have arrived.
///
/// Made by [`Barrier::new`] or [`Barrier::builder`], or for one process without MPI by
/// [`Barrier::local`]. Unlike `MPI_Barrier`, it can be waited at with a time limit, names the ranks
/// that have not arrived, and reports ranks that have died. Within a node, each rank does one
/// atomic addition. Between nodes, each node sends ⌈log₂ n⌉ messages for `n` nodes, one after the
/// other.
///
/// A rank arrives by calling [`wait`](Self::wait), [`try_wait`](Self::try_wait) or
/// [`wait_timeout`](Self::wait_timeout). It stays arrived if the call returns before all ranks have
/// arrived: its next call belongs to the same phase.
///
/// A barrier stays on the thread that made it. Dropping it is local.
///
/// ```
/// use mpisync::Barrier;
/// use std::time::Duration;
///
/// let barrier = Barrier::local();
/// barrier.wait();
/// barrier.wait_timeout(Duration::from_secs(1))?;
/// # Ok::<(), mpisync::sync::BarrierError>(())
/// ```
pub struct Barrier {
    object: Object,
    dissemination: Dissemination,
    /// The other nodes, if there are any.
    nodes: Option<BarrierNodes>,
    /// The phase that this rank has arrived at last.
    arrived: Cell<u64>,
    /// The phase that this rank has passed last.
    passed: Cell<u64>,
}

/// The reason why this rank could not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// The time limit passed before these ranks arrived.
    #[error("within {waited:?} the ranks {missing:?} have not come{}{report}", Silent(.silent))]
    Missing {
        /// The time limit.
        waited: Duration,
        /// The ranks that have not arrived, in ascending order.
        missing: Vec<i32>,
        /// The ranks of nodes that did not answer which ranks are missing. The lowest rank of such
        /// a node computes without a progress thread, or has died.
        silent: Vec<i32>,
        /// The barrier, and what the missing ranks of this node are doing.
        report: WaitReport,
    },
    /// A rank died before it arrived.
    #[error(
        "rank {rank} died before it arrived; `mpisync::survivors` lets the others go on without it"
    )]
    RankDied {
        /// The dead rank.
        rank: i32,
    },
    /// A rank ended before it came: its universe was dropped, or it finalizes MPI.
    #[error("rank {rank} {} before it came", ended(*.panicked))]
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

absent!(BarrierError);

struct Silent<'a>(&'a [i32]);

impl fmt::Display for Silent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ", and nothing was heard of {:?}", self.0)
    }
}

/// How long a rank whose time limit has passed waits for the answers of other nodes.
const ANSWER_TIME: Duration = Duration::from_millis(200);

impl Barrier {
    /// Makes a barrier for this process alone, which it always passes. Needs no MPI, neither to run
    /// nor (without the feature `mpi`) to build.
    pub fn local() -> Self {
        BarrierOf.local()
    }

    /// Arrives, and waits until all ranks have arrived. Collective.
    ///
    /// # Panics
    /// Where [`wait_timeout`](Self::wait_timeout) would return an error: a rank died, or MPI is
    /// finalized.
    #[track_caller]
    pub fn wait(&self) {
        if let Err(error) = self.wait_within(None) {
            self.object.panic_with(&error);
        }
    }

    /// Arrives, and returns whether all ranks have arrived. Collective, but does not wait. Does not
    /// report dead ranks. After it has returned true, the next call of any method belongs to the
    /// next phase.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_wait(&self) -> bool {
        if let Err(error) = self.object.check_usable() {
            self.object.panic_with(&error);
        }
        let phase = self.arrive();
        // The messages that complete the phase may have arrived.
        self.object.block().domain().progress();
        let all = (self.dissemination).is_complete(phase, |signal| self.send(signal));
        if all {
            self.passed.set(phase);
        }
        all
    }

    /// Arrives, and waits for at most `limit` until all ranks have arrived. Collective. Pass
    /// [`Duration::MAX`] to wait indefinitely and still get failures as errors instead of a panic.
    /// If the limit passes and there are other nodes, the call asks them which ranks are missing,
    /// for at most a fifth of a second.
    ///
    /// # Errors
    /// [`BarrierError::Missing`], which names the missing ranks; this rank stays arrived.
    /// [`BarrierError::RankDied`], [`BarrierError::RankEnded`], [`BarrierError::RankLeft`],
    /// [`LockError::Finalized`], [`LockError::Deadlock`].
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<(), BarrierError> {
        self.wait_within(Some(limit))
    }

    #[track_caller]
    fn wait_within(&self, limit: Option<Duration>) -> Result<(), BarrierError> {
        self.object.check_usable()?;
        let phase = self.arrive();
        let call = Call::new(self, "wait", Location::caller());
        let deadline = Deadline::within(limit).of(call);
        match self
            .dissemination
            .wait_for(phase, deadline, |signal| self.send(signal))
        {
            Ok(()) => {}
            Err(Stop::Timeout) => {
                self.missing_error(phase, limit.unwrap_or(Duration::MAX), call)?
            }
            Err(Stop::Absent(rank, absence)) => return Err(BarrierError::absent(rank, absence)),
            Err(stop) => return Err(stop.into_error().into()),
        }
        self.passed.set(phase);
        Ok(())
    }

    /// Arrives, unless this rank has arrived already and not passed since. Returns the phase.
    fn arrive(&self) -> u64 {
        let phase = self.passed.get() + 1;
        if self.arrived.get() < phase {
            self.arrived.set(phase);
            self.dissemination.arrive(phase, |signal| self.send(signal));
        }
        phase
    }

    /// The error that names the missing ranks. `Ok` if all ranks have arrived by now.
    #[cold]
    fn missing_error(
        &self,
        phase: u64,
        waited: Duration,
        call: Call<'_>,
    ) -> Result<(), BarrierError> {
        let mut missing = self.dissemination.missing(phase);
        let mut silent = Vec::new();
        if let Some(nodes) = &self.nodes {
            let (remote_missing, remote_silent) =
                nodes.missing(self.object.block(), phase, ANSWER_TIME);
            missing.extend(remote_missing);
            silent.extend(remote_silent);
        }
        if self.dissemination.complete() >= phase {
            return Ok(());
        }
        let sorted = |mut ranks: Vec<u32>| {
            ranks.sort_unstable();
            ranks.into_iter().map(|rank| rank as i32).collect()
        };
        Err(BarrierError::Missing {
            waited,
            missing: sorted(missing),
            silent: sorted(silent),
            report: call.report(waited),
        })
    }

    fn send(&self, signal: Signal) {
        if let Some(nodes) = &self.nodes {
            nodes.send(signal);
        }
    }

    accessors!(object; |_| {});
}

/// The arguments of a [`Barrier`].
#[non_exhaustive]
#[derive(Debug)]
pub struct BarrierOf;

impl Spec for BarrierOf {
    type Made = Barrier;
    const KIND: &'static str = "barrier";

    fn layout(&self, _: i32) -> AnyLayout {
        AnyLayout::new(BarrierLayout)
    }

    fn make(self, object: Object) -> Barrier {
        Barrier {
            dissemination: Dissemination::new(object.block().first_part()),
            nodes: object.link().map(BarrierNodes::open),
            arrived: Cell::new(0),
            passed: Cell::new(0),
            object,
        }
    }
}

impl BlockSubject for Barrier {
    fn block(&self) -> &Block {
        self.object.block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        let missing = self.dissemination.missing(self.arrived.get());
        Awaited::all(missing, "has not come")
    }

    fn want(&self) -> Option<Want> {
        let phase = Wanted::Phase(self.arrived.get());
        Some(Want::of_each(self.object.block().global()?, phase))
    }
}

/// Shows the number of completed phases and the missing ranks of this node; a snapshot that may be
/// out of date.
impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = self.dissemination.complete();
        self.object
            .show(f, "Barrier")
            .field("complete", &complete)
            .field("missing_here", &self.dissemination.missing(complete + 1))
            .finish_non_exhaustive()
    }
}
