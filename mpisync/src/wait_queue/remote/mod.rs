//! A wait queue for the ranks of other nodes: they ask the server of its node, which takes slots in
//! the list for them. It answers the rank itself, so that taking a free permit takes one round
//! trip, and giving it back half of one, for which nobody waits.

mod client;
mod kept;
mod messages;
mod server;

use crate::shm::topology::Topology;
pub(crate) use crate::wait_queue::remote::client::{Granted, WaitClient};
use crate::wait_queue::remote::kept::KeptPermits;

/// The length in bytes of the queue's memory on a node other than its own.
pub(crate) fn length_elsewhere(topology: &Topology) -> usize {
    KeptPermits::length(topology)
}
