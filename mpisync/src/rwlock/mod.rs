//! How the reader-writer lock works, and what it costs. There is nothing to call here.
//!
//! # On one node
//! The ranks share a few words of memory. Each rank has a flag of its own in it. A reader sets its
//! flag and looks at the *door*, one word that tells whether a writer has or wants the lock; no two
//! readers write to the same cache line. A writer takes the *turn*, which closes the door, and
//! waits until all flags are down. Who finds the door closed waits for the next opening, which
//! comes when no writer waits and at the latest after 64 writers, and a writer after that opening
//! waits for all whom it let in, so readers are not starved.
//!
//! Once a door has not been closed for some thousand reads, readers leave out the barrier between
//! their flag and their look, which is most of what a read costs; the next writer then has the
//! kernel run the barrier on all cores (`membarrier`), about a microsecond.
//!
//! # Across nodes
//! Readers do the same: the door is the *gate* of their node. No reader sends anything, however
//! many nodes there are.
//!
//! A writer first takes its node's turn, which only the writers of the node want, then the
//! cluster's turn, for which the nodes queue, and then closes the gates of all nodes along a tree
//! and waits until the readers have left. When it leaves it hands over to another writer of its
//! node, or after a number of these ([`max_local_handovers`](crate::Builder::max_local_handovers))
//! to the node that waits behind; the gates stay closed then. They are opened when no writer waits,
//! and at the latest after 64 writers.
//!
//! ```text
//!         home node                     other nodes
//!       ┌────────────┐  1 enqueue     ┌────────────┐
//!       │ tail ──────┼◄───────────────┤ writer     │
//!       └─────┬──────┘                └─────▲──────┘
//!             │ 2 link                      │ 3 grant
//!       ┌─────▼──────┐                      │
//!       │ last in    ├──────────────────────┘
//!       │ the queue  │      4 close / drained, down a tree and up again: one gate a node
//!       └────────────┘      5 open, or grant to the next; nobody waits for that
//! ```
//!
//! The home node is that of the controller's master. A node that lets the turn go while no other
//! waits keeps it, so that its next writer asks nobody. When it hands the turn over it closes its
//! own gate, which the next writer would have it do.
//!
//! # Network round trips
//! | a write lock and unlock | round trips |
//! | --- | --- |
//! | after a writer of the same node, nobody else having asked | 1: close, drained |
//! | handed over by a writer of the same node, gates still closed | 0 |
//! | handed over by the node before in the queue, gates still closed | ½: grant |
//! | the turn lies idle on the other one of two nodes | 1: enqueue, grant |
//! | the turn lies idle on another of more nodes, one of the two being home | 2: enqueue, grant, close, drained |
//! | the same with home elsewhere | 2½: enqueue, link, grant, close, drained |
//! | a read lock | 0 |
//!
//! With more than nine nodes closing goes down a tree in which each node tells eight, so its time
//! and the messages at the writer grow with the logarithm of the number of nodes. Unlocking waits
//! for nothing.
//!
//! A simulator, which runs the same code over a modelled network, shows what the tree gains. With
//! 64 ranks on each node, 1 µs from node to node and 150 ns a message, closing all gates takes
//!
//! | nodes | down a tree | by the writer itself |
//! | --- | --- | --- |
//! | 64 | 7.0 µs | 18.8 µs |
//! | 1,024 | 13.3 µs | 307 µs |
//! | 4,096 | 14.3 µs, 8 messages at the writer | 1,228 µs, 4,095 messages |
//!
//! and on 4,096 nodes of which 0.2 % of the operations write, all ranks together make 900 against
//! 17 million operations a second (`cargo xtask simulate`).
//!
//! # The progress thread
//! On each node the leader, the lowest rank, answers for the node: it closes and opens the gate,
//! hands the turn over and puts values into mailboxes. A thread of its process does that while the
//! rank computes; it polls for half a millisecond after the last message and otherwise sleeps, for
//! a millisecond at most, so that a lock may take some milliseconds where all nodes were idle
//! before. It leaves the polling to a rank that waits and polls anyway. Among threads that compute
//! it asks the scheduler for short slices and not for a priority. There is no such thread where a
//! communicator has one node only, and none where
//! [`Builder::progress_thread`](crate::Builder::progress_thread) switches it off: then a node
//! answers while one of its ranks is in a call of mpisync.
//!
//! # Transports
//! What goes between nodes is messages. They travel as MPI's own messages, or through a window that
//! `MPI_Raccumulate` adds to; [`Transport`](crate::Transport) tells which, and
//! [`Builder::transport`](crate::Builder::transport) chooses. Nothing but these messages depends on
//! it: the queue and the gates are words that the leader changes for the others, not words in a
//! window, because on networks without hardware atomics an MPI serves those by a message to the
//! same process too.
//!
//! # Sources
//! - The split into readers' flags and a queue of nodes: Schmid, Besta and Hoefler, "High-Performance Distributed RMA
//!   Locks", HPDC 2016.
//! - A global lock over the nodes and a local one on each, whose holder hands over to a writer of its own node first: lock
//!   cohorting, Dice, Marathe and Shavit, "Lock Cohorting: A General Technique for Designing NUMA Locks", PPoPP 2012; for
//!   readers and writers: Calciu, Dice, Lev, Luchangco, Marathe and Shavit, "NUMA-Aware Reader-Writer Locks", PPoPP 2013.
//! - Readers' flags in place of a counter: Dice and Kogan, "BRAVO: Biased Locking for Reader-Writer Locks", USENIX ATC
//!   2019.
//! - The queue: Mellor-Crummey and Scott, "Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors",
//!   TOCS 1991; that the home node passes the link on, and that an idle node keeps the turn, as in Naimi, Trehel and
//!   Arnold, "A Log(N) Distributed Mutual Exclusion Algorithm Based on Path Reversal", JPDC 1996.

#[cfg(feature = "mpi")]
pub(crate) mod builder;
pub(crate) mod controller;
pub(crate) mod global;
pub(crate) mod guard;
pub(crate) mod layout;
pub(crate) mod memory;
pub(crate) mod node;
pub(crate) mod state;
#[cfg(test)]
mod tests;
