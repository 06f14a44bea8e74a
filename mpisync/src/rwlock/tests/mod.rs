//! The lock under real threads and under the model checker, and models of the lock across nodes.

mod heap;
mod layout;
#[cfg(loom)]
mod loom;
// All interleavings take minutes, and without MPI there is nothing else to see.
#[cfg(feature = "mpi")]
mod model;
#[cfg(not(loom))]
mod ranges;
#[cfg(not(loom))]
mod threads;
mod tree;

use crate::rwlock::layout::GateKind;
use crate::rwlock::node::NodeLock;
use crate::rwlock::tests::heap::HeapMemory;

fn locks(ranks: usize, gate: GateKind) -> Vec<NodeLock<HeapMemory>> {
    let memories = HeapMemory::new(ranks, gate);
    memories
        .into_iter()
        .map(|memory| NodeLock { memory })
        .collect()
}
