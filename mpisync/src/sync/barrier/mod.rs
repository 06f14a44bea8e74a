//! All ranks wait for each other, and learn who is missing.

mod layout;
mod node;
mod remote;

use crate::error::{LockError, WaitReport};
use crate::object::{Object, accessors};
use crate::shm::domain::Domain;
use crate::shm::layout::AnyLayout;
use crate::shm::wait::{Deadline, Stop, Surroundings};
use crate::shm::waiting::{Awaited, Call, Label, Subject};
use crate::sync::barrier::node::{BarrierLayout, Dissemination, Signal};
use crate::sync::barrier::remote::BarrierNodes;
use crate::sync::spec::Spec;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A point that no rank of a communicator passes before all have come to it, time and again.
///
/// Made by [`Barrier::new`] or [`Barrier::builder`], and for one process without MPI by
/// [`Barrier::local`]. Other than `MPI_Barrier` it can be waited at for some time, says which ranks
/// have not come, and has an error for ranks that died. On a node it takes one atomic addition a
/// rank; between nodes as many messages, one after the other, as the number of nodes has bits.
///
/// A rank has come once it has called any of the methods that wait, also where the time was up: the
/// next call goes on with the same time.
///
/// It stays on the thread that made it. Dropping it is local.
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
    /// How often this rank has come.
    arrived: Cell<u64>,
    /// How often it has gone on.
    passed: Cell<u64>,
}

/// Why this rank could not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// The time was up, and these ranks had not come.
    #[error("within {waited:?} the ranks {missing:?} have not come{}{report}", Silent(.silent))]
    Missing {
        /// How long this rank was ready to wait.
        waited: Duration,
        /// Those that had not come, in ascending order.
        missing: Vec<i32>,
        /// The ranks of nodes that did not say who is there, because their lowest rank computes
        /// without a progress thread, or is gone.
        silent: Vec<i32>,
        /// The barrier, and what the missing ranks of this node are doing.
        report: WaitReport,
    },
    /// A rank died before it came.
    #[error(
        "rank {rank} died before it came; go on with a communicator of the ranks that are left"
    )]
    RankDied {
        /// The rank.
        rank: i32,
    },
    /// MPI was finalized.
    #[error(transparent)]
    Lock(#[from] LockError),
}

struct Silent<'a>(&'a [i32]);

impl fmt::Display for Silent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ", and nothing was heard of {:?}", self.0)
    }
}

/// How long a rank whose time is up waits for other nodes to say who is there.
const PATIENCE: Duration = Duration::from_millis(200);

impl Barrier {
    /// A barrier of this process alone, which is always there. Needs no MPI, neither to run nor
    /// (without the feature `mpi`) to build.
    pub fn local() -> Self {
        BarrierOf.local()
    }

    /// Waits until all ranks have come.
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

    /// Comes, and tells whether all others have come too. Does not wait, and does not tell of ranks
    /// that died. Once it has, the next call of any method is for the next time.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_wait(&self) -> bool {
        if let Err(error) = self.object.check_usable() {
            self.object.panic_with(&error);
        }
        let time = self.arrive();
        // The messages that tell may be here.
        self.object.block().domain().progress();
        let all = self.dissemination.complete() >= time;
        if all {
            self.passed.set(time);
        }
        all
    }

    /// Waits until all ranks have come, for `limit` at most. Pass [`Duration::MAX`] to wait
    /// indefinitely and still get failures as errors instead of a panic. Where there are other
    /// nodes it then asks them who is missing, which takes a fifth of a second at most.
    ///
    /// # Errors
    /// [`BarrierError::Missing`], which names the ranks; this rank has come all the same.
    /// [`BarrierError::RankDied`], [`LockError::Finalized`].
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<(), BarrierError> {
        self.wait_within(Some(limit))
    }

    #[track_caller]
    fn wait_within(&self, limit: Option<Duration>) -> Result<(), BarrierError> {
        self.object.check_usable()?;
        let time = self.arrive();
        let call = Call::new(self, "wait", Location::caller());
        let deadline = Deadline::within(limit).of(call);
        match self
            .dissemination
            .wait_for(time, deadline, |signal| self.tell(signal))
        {
            Ok(()) => {}
            Err(Stop::Timeout) => self.tell_missing(time, limit.unwrap_or(Duration::MAX), call)?,
            Err(Stop::RankDied(rank)) => return Err(BarrierError::RankDied { rank: rank as i32 }),
            Err(Stop::Died(_)) => unreachable!("a barrier names ranks, not local ranks"),
        }
        self.passed.set(time);
        Ok(())
    }

    /// Comes, unless this rank has done so before and not gone on since; for which time.
    fn arrive(&self) -> u64 {
        let time = self.passed.get() + 1;
        if self.arrived.get() < time {
            self.arrived.set(time);
            self.dissemination.arrive(time, |signal| self.tell(signal));
        }
        time
    }

    /// The error that says who is missing; none if it turns out that nobody is.
    #[cold]
    fn tell_missing(
        &self,
        time: u64,
        waited: Duration,
        call: Call<'_>,
    ) -> Result<(), BarrierError> {
        let mut missing = self.dissemination.missing(time);
        let mut silent = Vec::new();
        if let Some(nodes) = &self.nodes {
            let (missing_there, silent_there) = nodes.missing(self.object.block(), time, PATIENCE);
            missing.extend(missing_there);
            silent.extend(silent_there);
        }
        if self.dissemination.complete() >= time {
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

    fn tell(&self, signal: Signal) {
        if let Some(nodes) = &self.nodes {
            nodes.tell(signal);
        }
    }

    accessors!(object; |_| {});
}

/// A barrier to be made.
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

impl Subject for Barrier {
    fn domain(&self) -> &Domain {
        self.object.block().domain()
    }

    fn label(&self) -> Label<'_> {
        self.object.block().label()
    }

    fn awaited(&self) -> Vec<Awaited> {
        let missing = self.dissemination.missing(self.arrived.get());
        Awaited::all(missing, "has not come")
    }
}

/// How often all have come, and who of this node is missing; a snapshot that may be out of date.
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
