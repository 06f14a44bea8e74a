//! The node's lock under real threads, and under the model checker with `--cfg loom`.

#[cfg(loom)]
mod loom;
#[cfg(loom)]
mod loom_bias;
#[cfg(loom)]
mod loom_gate;
#[cfg(not(loom))]
mod threads;

use crate::rwlock::heap::HeapMemory;
use crate::rwlock::layout::DoorKind;
use crate::rwlock::node::NodeLock;

fn locks(ranks: usize, door: DoorKind) -> Vec<NodeLock<HeapMemory>> {
    let memories = HeapMemory::new(ranks, door);
    memories
        .into_iter()
        .map(|memory| NodeLock { memory })
        .collect()
}
