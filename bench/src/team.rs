//! The ranks that are measured together: they start at the same moment, and their operations are
//! added up.

use std::time::Duration;

use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use crate::clock;
use crate::memory::Shared;
use crate::pace::Laps;

/// The time from the choice of a start to the start. Long enough for a rank that waits for a core
/// to learn of it.
const NOTICE: Duration = Duration::from_millis(10);

/// All ranks of the job, on one host or on several that share a clock (namespaces of one machine).
pub struct Team<'a> {
    world: &'a SimpleCommunicator,
    /// The ranks of this host.
    host: SimpleCommunicator,
    hosts: usize,
    /// One on each host.
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

/// The operations of all ranks in one round.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// The number of operations of all ranks together.
    pub operations: u64,
    /// From the start to the end of the last rank, in nanoseconds.
    pub nanos: u64,
}

impl Tally {
    /// Nanoseconds per operation: the elapsed time divided by the operations of all ranks.
    pub fn nanos_per_operation(self) -> f64 {
        self.nanos as f64 / self.operations as f64
    }
}

impl<'a> Team<'a> {
    /// The ranks of `world`, measured in rounds of the given length. Collective.
    pub fn new(world: &'a SimpleCommunicator, round: Duration) -> Self {
        let host = world.split_shared(world.rank());
        let mut hosts = 0;
        let first_of_host = i32::from(host.rank() == 0);
        world.all_reduce_into(&first_of_host, &mut hosts, SystemOperation::sum());
        Self {
            world,
            counter: Shared::new(&host),
            host,
            hosts: hosts as usize,
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

    /// The number of hosts of the ranks.
    pub fn hosts(&self) -> usize {
        self.hosts
    }

    /// The rank that works in cases with one active rank: the first, or over several hosts the
    /// last, because it is not on the first rank's host.
    pub fn lone_rank(&self) -> i32 {
        if self.hosts == 1 {
            0
        } else {
            self.world.size() - 1
        }
    }

    /// Whether this rank is the [lone rank](Self::lone_rank).
    pub fn is_the_lone_rank(&self) -> bool {
        self.rank() == self.lone_rank()
    }

    /// The length of a round.
    pub fn round(&self) -> Duration {
        self.round
    }

    /// Agrees on the next round, sets the counter to zero and sleeps until the round starts.
    /// Collective.
    pub fn start(&self) -> Span {
        // No rank may still be at work when rank 0 sets the counter to zero.
        self.world.barrier();
        let mut start = 0;
        if self.host.rank() == 0 {
            // SAFETY: the other ranks are between the barrier and the broadcast, where none
            // accesses it; the broadcast is followed by a sleep that is longer than this store
            // takes.
            unsafe { self.counter.as_ptr().write_volatile(0) };
        }
        if self.rank() == 0 {
            start = clock::now() + NOTICE.as_nanos() as u64;
        }
        self.world.process_at_rank(0).broadcast_into(&mut start);
        clock::sleep_until(start);
        Span {
            start,
            end: start + self.round.as_nanos() as u64,
        }
    }

    /// Sleeps through a round in which this rank is idle.
    pub fn sit_out(&self, span: Span) -> Laps {
        clock::sleep_until(span.end);
        Laps {
            operations: 0,
            end: span.start,
        }
    }

    /// Calls `poll` through a round in which this rank is otherwise idle.
    pub fn attend(&self, span: Span, poll: impl Fn()) -> Laps {
        while clock::now() < span.end {
            poll();
        }
        self.sit_out(span)
    }

    /// Adds up the operations of all ranks in a round. Collective.
    pub fn tally(&self, span: Span, laps: Laps) -> Tally {
        let operations = self.sum(laps.operations);
        let end = self.max(laps.end);
        Tally {
            operations,
            nanos: end - span.start,
        }
    }

    /// The sum of the values of all ranks. Collective.
    pub fn sum(&self, mine: u64) -> u64 {
        let mut sum = 0;
        self.world
            .all_reduce_into(&mine, &mut sum, SystemOperation::sum());
        sum
    }

    /// The maximum of the values of all ranks. Collective.
    pub fn max(&self, mine: u64) -> u64 {
        let mut most = 0;
        self.world
            .all_reduce_into(&mine, &mut most, SystemOperation::max());
        most
    }

    /// The minimum of the values of all ranks. Collective.
    pub fn min(&self, mine: u64) -> u64 {
        let mut least = 0;
        self.world
            .all_reduce_into(&mine, &mut least, SystemOperation::min());
        least
    }

    /// Adds one to the counter that all ranks share, by a load and a store that are not atomic
    /// together.
    ///
    /// # Safety
    /// The caller holds a lock that keeps all other ranks away from the counter.
    pub unsafe fn bump(&self) {
        let counter = self.counter.as_ptr();
        // SAFETY: the counter lives as long as `self`; by the caller's promise no other rank
        // accesses it now.
        unsafe { counter.write_volatile(counter.read_volatile() + 1) };
    }

    /// Reads the counter that all ranks share.
    ///
    /// # Safety
    /// The caller holds a lock that keeps all other ranks from writing the counter, or the ranks
    /// are between two collective calls in which none of them writes it.
    pub unsafe fn peek(&self) -> u64 {
        // SAFETY: the counter lives as long as `self`; by the caller's promise no other rank writes
        // it now.
        unsafe { self.counter.as_ptr().read_volatile() }
    }

    /// The sum of the counters of all hosts, after [`tally`](Self::tally). Collective.
    pub fn counted(&self) -> u64 {
        let mine = if self.host.rank() == 0 {
            // SAFETY: all ranks have come through the tally and none starts another round without
            // this one.
            unsafe { self.peek() }
        } else {
            0
        };
        self.sum(mine)
    }

    /// Frees the counter. Collective.
    pub fn disband(self) {
        self.counter.free();
    }
}
