//! The lock over a modelled network: the protocol as it runs on real nodes, with a clock and
//! messages that are only counted.
//!
//! What a simulation runs is the code of the lock itself: the writers, the servers, the queue of
//! nodes and the tree of gates. Modelled are the network (latency, bandwidth, what a message costs
//! its sender and its receiver), the turn inside a node, and readers: while its gate is open a rank
//! reads again and again. The workload is that of Schmid, Besta and Hoefler, "High-Performance
//! Distributed RMA Locks", HPDC 2016: all ranks take the lock again and again, a given share of
//! them for writing.
//!
//! ```
//! use mpisync::simulator::{Machine, Workload, run};
//!
//! let workload = Workload { nodes: 8, ranks_per_node: 4, writers: 0.02, writes: 500, ..Workload::default() };
//! let report = run(&Machine::default(), &workload);
//! assert!(report.operations_per_second > 0.0);
//! ```

mod clock;
mod node;
mod world;

use crate::rwlock::global::{standing, tree};

/// What things cost, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// From the end of sending a message to its arrival.
    pub latency: u64,
    /// What each message costs its sender, and again its receiver; meanwhile they do nothing else.
    pub overhead: u64,
    /// Bytes a nanosecond.
    pub bandwidth: f64,
    /// A read lock, what is done under it, and its release.
    pub read: u64,
    /// What is done under a write lock.
    pub write: u64,
    /// From the release of a node's turn to the next rank of the node that has it.
    pub handover: u64,
}

/// A network of 2 µs a round trip and 12.5 GB/s.
impl Default for Machine {
    fn default() -> Self {
        Self {
            latency: 1_000,
            overhead: 150,
            bandwidth: 12.5,
            read: 10,
            write: 50,
            handover: 200,
        }
    }
}

/// What the ranks do.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// How many nodes; 1 at least.
    pub nodes: u32,
    /// How many ranks on each; 1 at least.
    pub ranks_per_node: u32,
    /// The share of all acquisitions that are for writing, from 0 (excluded) to 1.
    pub writers: f64,
    /// The run ends after so many writes; the first fifth of it is not counted.
    pub writes: u64,
    /// See [`Builder::max_local_handovers`](crate::Builder::max_local_handovers).
    pub max_local_handovers: u32,
    /// How many nodes each node tells to close and open its gate; 8 in the library. With the number
    /// of nodes or more, the writer tells all of them itself.
    pub fan_out: u32,
    /// Where random numbers begin.
    pub seed: u64,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            nodes: 2,
            ranks_per_node: 1,
            writers: 0.02,
            writes: 1_000,
            max_local_handovers: standing::MAX_LOCAL_HANDOVERS,
            fan_out: tree::FAN_OUT,
            seed: 1,
        }
    }
}

/// What came of a run, in simulated time.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Acquisitions of all ranks together, reads and writes.
    pub operations_per_second: f64,
    /// Writes of all ranks together.
    pub writes_per_second: f64,
    /// From a rank's wish to write to its lock, in nanoseconds: the median.
    pub write_median: u64,
    /// The same: 99 of 100 writers take less.
    pub write_p99: u64,
    /// From the closing of the gates until all readers have left, in nanoseconds: the mean. None if
    /// no writer had to close them.
    pub drain_mean: Option<f64>,
    /// Messages a write, of all nodes together.
    pub messages_per_write: f64,
    /// The most messages that one writer sent to get in.
    pub most_at_the_writer: u64,
    /// How long the run took, in nanoseconds of simulated time.
    pub span: u64,
}

/// Runs the lock on a machine until so many writes are done.
///
/// # Panics
/// When the workload has no node, no rank or no writers, or when two ranks have the lock that must
/// not, which would be a fault of the lock.
pub fn run(machine: &Machine, workload: &Workload) -> Report {
    assert!(
        workload.nodes > 0 && workload.ranks_per_node > 0 && workload.fan_out > 0,
        "a workload has nodes and ranks"
    );
    assert!(
        workload.writers > 0.0 && workload.writers <= 1.0 && workload.writes > 0,
        "somebody has to write: {} of all acquisitions",
        workload.writers
    );
    world::simulate(machine, workload)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing but the network takes time.
    const NETWORK: Machine = Machine {
        latency: 1_000,
        overhead: 0,
        bandwidth: f64::INFINITY,
        read: 0,
        write: 0,
        handover: 0,
    };

    #[test]
    fn a_write_again_from_the_same_node_takes_a_round_trip() {
        // One rank writes, that of the home node, so nobody else wants the turn.
        let workload = Workload {
            nodes: 2,
            writers: 1.0,
            writes: 100,
            ..Workload::default()
        };
        let report = world::simulate_with_writers(&NETWORK, &workload, |rank| rank == 0);
        assert_eq!(report.write_median, 2_000);
        // Close, drained, open.
        assert_eq!(report.messages_per_write, 3.0);
    }

    #[test]
    fn the_first_write_from_another_node_takes_two_round_trips_and_one_where_there_are_two() {
        for (nodes, median) in [(2, 2_000), (3, 4_000), (9, 4_000)] {
            let workload = Workload {
                nodes,
                writers: 1.0,
                writes: 1,
                ..Workload::default()
            };
            let report = world::simulate_with_writers(&NETWORK, &workload, |rank| rank == 1);
            assert_eq!(report.write_median, median, "{nodes} nodes");
        }
    }

    #[test]
    fn closing_takes_a_round_trip_for_each_level_of_the_tree() {
        for (nodes, fan_out, levels, most) in
            [(9, 8, 1, 8), (73, 8, 2, 8), (74, 8, 3, 8), (74, 100, 1, 73)]
        {
            let workload = Workload {
                nodes,
                fan_out,
                writers: 1.0,
                writes: 10,
                ..Workload::default()
            };
            let report = world::simulate_with_writers(&NETWORK, &workload, |rank| rank == 0);
            assert_eq!(
                report.drain_mean,
                Some(2_000.0 * f64::from(levels)),
                "{nodes} nodes"
            );
            assert_eq!(report.most_at_the_writer, most, "{nodes} nodes");
        }
    }

    #[test]
    fn excludes_under_many_workloads() {
        for (nodes, ranks_per_node) in [(1, 1), (1, 8), (2, 2), (3, 1), (20, 3)] {
            for writers in [0.002, 0.05, 1.0] {
                for max_local_handovers in [1, 16] {
                    let workload = Workload {
                        nodes,
                        ranks_per_node,
                        writers,
                        writes: 2_000,
                        max_local_handovers,
                        ..Workload::default()
                    };
                    // It panics where the lock does not exclude, or stands still.
                    let report = run(&Machine::default(), &workload);
                    assert!(report.operations_per_second > report.writes_per_second * 0.99);
                }
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let workload = Workload {
            nodes: 5,
            ranks_per_node: 3,
            ..Workload::default()
        };
        let spans =
            [1, 1, 2].map(|seed| run(&Machine::default(), &Workload { seed, ..workload }).span);
        assert_eq!(spans[0], spans[1]);
        assert_ne!(spans[0], spans[2]);
    }
}
