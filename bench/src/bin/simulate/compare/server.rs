//! Servers: a thread on each machine that handles messages, one at a time.

use crate::clock::Clock;
use crate::compare::engine::Task;
use crate::compare::network::Network;
use crate::compare::run::Workload;
use std::cell::RefCell;

/// The inboxes of all machines' servers, for messages `M`. Their tasks follow those of the clients.
pub(super) struct Inboxes<'a, M> {
    network: &'a Network,
    first_task: Task,
    inboxes: Vec<RefCell<Clock<M>>>,
}

impl<'a, M> Inboxes<'a, M> {
    pub(super) fn new(network: &'a Network, workload: &Workload) -> Self {
        let machines = 0..workload.all_machines();
        Self {
            network,
            first_task: workload.all_clients() as Task,
            inboxes: machines.map(|_| RefCell::default()).collect(),
        }
    }

    /// Puts something into the inbox of a machine's server.
    pub(super) fn put(&self, machine: u32, at: u64, message: M) {
        self.inboxes[machine as usize].borrow_mut().set(at, message);
        let task = self.first_task + machine as Task;
        self.network.engine.wake_at(at, task);
    }

    /// Waits for the next message to a machine's server.
    pub(super) async fn next(&self, machine: u32) -> M {
        let engine = &self.network.engine;
        let inbox = &self.inboxes[machine as usize];
        engine
            .wait(|| inbox.borrow_mut().next_by(engine.now()))
            .await
    }
}
