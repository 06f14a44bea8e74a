//! The ranks that are measured together: they start at one moment and add up what they did.

use std::time::Duration;

use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use crate::clock;
use crate::memory::Shared;
use crate::pace::Laps;

/// From the choice of a start to the start. Long enough for a rank that waits for a core to learn of it.
const NOTICE: Duration = Duration::from_millis(10);

/// All ranks of the job, on one host.
pub struct Team<'a> {
    world: &'a SimpleCommunicator,
    counter: Shared<u64>,
    round: Duration,
}

/// The time of one round, the same on every rank.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    start: u64,
    /// When the ranks stop.
    pub end: u64,
}

/// What all ranks did in one round.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// How many operations, on all ranks together.
    pub operations: u64,
    /// From the start to the end of the last rank, in nanoseconds.
    pub nanos: u64,
}

impl Tally {
    /// Nanoseconds an operation: the time that passed, shared among all operations of all ranks.
    pub fn nanos_per_operation(self) -> f64 {
        self.nanos as f64 / self.operations as f64
    }
}

impl<'a> Team<'a> {
    /// The ranks of `world`, measured in rounds of the given length. Collective.
    pub fn new(world: &'a SimpleCommunicator, round: Duration) -> Self {
        Self {
            world,
            counter: Shared::new(world),
            round,
        }
    }

    /// The communicator of all ranks.
    pub fn world(&self) -> &'a SimpleCommunicator {
        self.world
    }

    /// This rank.
    pub fn rank(&self) -> i32 {
        self.world.rank()
    }

    /// Agrees on the next round, sets the counter to zero and sleeps until the round starts. Collective.
    pub fn start(&self) -> Span {
        // No rank may still be at work when rank 0 sets the counter to zero.
        self.world.barrier();
        let mut start = 0;
        if self.rank() == 0 {
            // SAFETY: the other ranks are between the barrier and the broadcast, where none touches it.
            unsafe { self.counter.as_ptr().write_volatile(0) };
            start = clock::now() + NOTICE.as_nanos() as u64;
        }
        self.world.process_at_rank(0).broadcast_into(&mut start);
        clock::sleep_until(start);
        Span {
            start,
            end: start + self.round.as_nanos() as u64,
        }
    }

    /// Sleeps through a round in which this rank has nothing to do.
    pub fn sit_out(&self, span: Span) -> Laps {
        clock::sleep_until(span.end);
        Laps {
            operations: 0,
            end: span.start,
        }
    }

    /// Adds up what all ranks did in a round. Collective.
    pub fn tally(&self, span: Span, laps: Laps) -> Tally {
        let mut operations = 0;
        let mut end = 0;
        self.world
            .all_reduce_into(&laps.operations, &mut operations, SystemOperation::sum());
        self.world
            .all_reduce_into(&laps.end, &mut end, SystemOperation::max());
        Tally {
            operations,
            nanos: end - span.start,
        }
    }

    /// Adds one to the counter that all ranks share, with a load and a store that are not atomic together.
    ///
    /// # Safety
    /// The caller holds a lock that keeps all other ranks away from the counter.
    pub unsafe fn bump(&self) {
        let counter = self.counter.as_ptr();
        // SAFETY: the counter lives as long as `self`; no other rank touches it now, says the caller.
        unsafe { counter.write_volatile(counter.read_volatile() + 1) };
    }

    /// Reads the counter that all ranks share.
    ///
    /// # Safety
    /// The caller holds a lock that keeps all other ranks from writing the counter, or the ranks are
    /// between two collective calls in which none of them writes it.
    pub unsafe fn peek(&self) -> u64 {
        // SAFETY: the counter lives as long as `self`; no other rank writes it now, says the caller.
        unsafe { self.counter.as_ptr().read_volatile() }
    }

    /// Gives the counter back. Collective.
    pub fn disband(self) {
        self.counter.free();
    }
}
