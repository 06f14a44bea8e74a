//! The lock over a modelled network: the protocol as it runs on real nodes, with a simulated clock
//! and simulated messages.
//!
//! A simulation runs the code of the lock itself: the writers, the servers, the queue of nodes and
//! the tree of gates. The network is modelled (latency, bandwidth, the cost of a message at its
//! sender and its receiver), and so are the turn inside a node and the readers: while its gate is
//! open, a rank reads again and again. The workload is that of Schmid, Besta and Hoefler,
//! "High-Performance Distributed RMA Locks", HPDC 2016: all ranks take the lock again and again, a
//! given share of them for writing.

use crate::rwlock::global::{token, tree};
use crate::world;

/// The costs of operations in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// The time from the end of sending a message to its arrival.
    pub latency: u64,
    /// The time that a message takes its sender and its receiver, which do nothing else meanwhile.
    pub overhead: u64,
    /// Bytes per nanosecond.
    pub bandwidth: f64,
    /// A read lock, the work under it, and its release.
    pub read: u64,
    /// The work under a write lock.
    pub write: u64,
    /// The time from the release of a node's turn until the next rank of the node has it.
    pub handover: u64,
}

/// A network with a round-trip time of 2 µs and 12.5 GB/s.
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

/// The work of the ranks.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The number of nodes, at least 1.
    pub nodes: u32,
    /// The number of ranks per node, at least 1.
    pub ranks_per_node: u32,
    /// The share of all acquisitions that are for writing, above 0 and at most 1.
    pub writers: f64,
    /// The run ends after this many writes; the first fifth of it is not measured.
    pub writes: u64,
    /// See `mpisync::Builder::max_local_handovers`.
    pub max_local_handovers: u32,
    /// The number of children of each node in the tree of gates; 8 in the library. With the number
    /// of nodes or more, the writer sends to all nodes itself.
    pub fan_out: u32,
    /// The seed of the random numbers.
    pub seed: u64,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            nodes: 2,
            ranks_per_node: 1,
            writers: 0.02,
            writes: 1_000,
            max_local_handovers: token::MAX_LOCAL_HANDOVERS,
            fan_out: tree::FAN_OUT,
            seed: 1,
        }
    }
}

/// The results of a run, in simulated time.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Acquisitions of all ranks, reads and writes.
    pub operations_per_second: f64,
    /// Writes of all ranks.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests check it"))]
    pub writes_per_second: f64,
    /// The median time from a rank's request to write until it holds the lock, in nanoseconds.
    pub write_median: u64,
    /// The 99th percentile of the same.
    pub write_p99: u64,
    /// None if no writer had to close the gates.
    pub drain: Option<Drain>,
    /// Messages of all nodes per write.
    pub messages_per_write: f64,
    /// The most messages that one writer sent before it entered.
    pub most_at_the_writer: u64,
    /// The duration of the run in nanoseconds.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests check it"))]
    pub span: u64,
}

/// The time from closing the gates until all readers have left, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// The mean of all writes.
    pub mean: f64,
    /// A tenth of the writes take less.
    pub first_decile: u64,
    /// Half of the writes take less.
    pub median: u64,
    /// A tenth of the writes take more.
    pub last_decile: u64,
}

/// Runs the lock on a machine until the writes of the workload are done.
///
/// # Panics
/// If the workload has no nodes, ranks or writers, and if two ranks hold the lock that must not,
/// which is a bug of the lock.
pub fn run(machine: &Machine, workload: &Workload) -> Report {
    assert!(
        workload.nodes > 0 && workload.ranks_per_node > 0 && workload.fan_out > 0,
        "a workload has nodes and ranks"
    );
    assert!(
        workload.writers > 0.0 && workload.writers <= 1.0 && workload.writes > 0,
        "a workload has writers: {} of all acquisitions",
        workload.writers
    );
    world::simulate(machine, workload)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the network takes time.
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
        // Only the rank of the home node writes, so no other rank requests the turn.
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
                report.drain.map(|drain| drain.mean),
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
                    // Panics if the lock does not exclude or deadlocks.
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
