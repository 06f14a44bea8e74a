//! How the reader-writer lock works, and its costs. This module has no public items.
//!
//! # On one node
//! The ranks of a node share a few words of memory. Each rank has a flag in it. A reader sets its flag
//! and checks the *gate*, a word that is closed while a writer has or wants the lock; no two readers
//! write to the same cache line. A writer takes the *turn*, which closes the gate, and waits until all
//! flags are cleared. A reader that finds the gate closed waits for the next opening. The gate opens
//! when no writer waits, and at the latest after 64 writers. A writer after that opening waits for all
//! readers that it let in, so readers do not starve.
//!
//! After some thousand reads without a writer, readers omit the barrier between setting the flag and
//! checking the gate (reader bias), which is most of the cost of a read. The next writer then has to
//! revoke the bias: it makes the kernel run the barrier on all cores (`membarrier`), which takes about
//! a microsecond.
//!
//! # Across nodes
//! Readers do the same: the gate is a word of their node. A reader sends no message, however many nodes
//! there are.
//!
//! A writer first takes the turn of its node (the local lock), for which only the writers of that node
//! compete, then the *token* (the global lock), for which the nodes queue. Then it closes the gates of
//! all nodes along a tree and waits until the readers have left. When it leaves, it hands over to
//! another writer of its node or, after a number of handovers
//! ([`max_local_handovers`](crate::Builder::max_local_handovers)), to the next node in the queue; the
//! gates stay closed. They are opened when no writer waits, and at the latest after 64 writers.
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
//!       └────────────┘      5 open, or grant to the next; no rank waits for that
//! ```
//!
//! The home node is that of the controller's master. A node that leaves while no other node waits keeps
//! the token, so its next writer asks nobody. When a node hands the token over, it closes its own gate,
//! which the next writer would do otherwise.
//!
//! # Network round trips
//! | a write lock and unlock | round trips |
//! | --- | --- |
//! | after a writer of the same node, if no other node has asked | 1: close, drained |
//! | handed over by a writer of the same node, gates still closed | 0 |
//! | handed over by the node before in the queue, gates still closed | ½: grant |
//! | the token is idle on the other one of two nodes | 1: enqueue, grant |
//! | the token is idle on one of more nodes, and one of the two is home | 2: enqueue, grant, close, drained |
//! | the same with home elsewhere | 2½: enqueue, link, grant, close, drained |
//! | a read lock | 0 |
//!
//! With more than nine nodes, gates are closed along a tree in which each node has eight children. So
//! the time and the number of messages at the writer grow with the logarithm of the number of nodes.
//! Unlocking does not wait.
//!
//! A simulator runs the same code over a modelled network and shows the effect of the tree. With 64
//! ranks on each node, 1 µs between nodes and 150 ns a message, closing all gates takes
//!
//! | nodes | along a tree | by the writer itself |
//! | --- | --- | --- |
//! | 64 | 7.0 µs | 18.8 µs |
//! | 1,024 | 13.3 µs | 307 µs |
//! | 4,096 | 14.3 µs, 8 messages at the writer | 1,228 µs, 4,095 messages |
//!
//! On 4,096 nodes, where 0.2 % of the operations write, all ranks together complete 900 million
//! operations a second with the tree and 17 million without (`cargo xtask simulate`).
//!
//! # The progress thread
//! The leader of a node, its lowest rank, acts for the node: it closes and opens the gate, hands the
//! token over and puts values into mailboxes. A thread of the leader's process does so while the rank
//! computes. It polls for half a millisecond after the last message, and then sleeps for at most a
//! millisecond at a time. So taking a lock may last some milliseconds if all nodes were idle before. The
//! thread does not poll while a rank that waits polls anyway. Among threads that compute, it asks the
//! scheduler for short slices and not for a priority. There is no progress thread if a communicator has
//! one node only, or if [`Builder::progress_thread`](crate::Builder::progress_thread) switches it off: a
//! node then answers while one of its ranks is in a call of mpisync.
//!
//! # Transports
//! Nodes communicate by messages. They travel as MPI's own messages, or through a window that
//! `MPI_Raccumulate` adds to; see [`Transport`](crate::Transport) and
//! [`Builder::transport`](crate::Builder::transport). Nothing else depends on the transport. The queue and
//! the gates are words that the leader changes for the other nodes, and not words in a window: on networks
//! without hardware atomics, an MPI implements those by a message to the same process, too.
//!
//! # Sources
//! - The split into readers' flags and a queue of nodes: Schmid, Besta and Hoefler, "High-Performance Distributed RMA
//!   Locks", HPDC 2016.
//! - A global lock over the nodes and a local one on each, whose holder hands over to a writer of its own node first: lock
//!   cohorting, Dice, Marathe and Shavit, "Lock Cohorting: A General Technique for Designing NUMA Locks", PPoPP 2012; for
//!   readers and writers: Calciu, Dice, Lev, Luchangco, Marathe and Shavit, "NUMA-Aware Reader-Writer Locks", PPoPP 2013.
//! - Readers' flags in place of a counter, and reader bias: Dice and Kogan, "BRAVO: Biased Locking for Reader-Writer
//!   Locks", USENIX ATC 2019.
//! - The queue: Mellor-Crummey and Scott, "Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors",
//!   TOCS 1991. That the home node passes the link on, and that an idle node keeps the token: Naimi, Trehel and Arnold, "A
//!   Log(N) Distributed Mutual Exclusion Algorithm Based on Path Reversal", JPDC 1996.

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
