//! ALock, from its publication: Baran, Nelson-Slivon, Tseng and Palmieri, "ALock: Asymmetric Lock
//! Primitive for RDMA Systems", SPAA 2024, and its specification in TLA+.
//!
//! A lock has two queues, one of the clients on its own machine, which use no network card, and one
//! of all others, which use only one-sided operations. Both are MCS locks. The heads of the two
//! queues take turns by Peterson's algorithm. A queue keeps the lock for a number of clients, its
//! budget, and then lets the other queue go first. There are no readers: each client has the lock
//! alone.

use crate::compare::network::{Network, Word};
use crate::compare::run::{Client, Design, Place};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// How many clients of a queue follow each other, as in the published experiments.
const LOCAL_BUDGET: u32 = 5;
const REMOTE_BUDGET: u32 = 20;

/// The locks, and the queue node of each client.
pub(super) struct ALock<'a> {
    network: &'a Network,
    entries: RefCell<HashMap<u64, Rc<Entry>>>,
    clients: Vec<QueueNode>,
}

/// A lock.
#[derive(Default)]
struct Entry {
    local: Cell<Option<Client>>,
    remote: Cell<Option<Client>>,
    remote_word: Word,
    /// The queue that lets the other one go first.
    victim: Cell<Option<Queue>>,
    victim_word: Word,
    /// The local client that waits for the remote queue.
    watcher: Cell<Option<Client>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    Local,
    Remote,
}

#[derive(Default)]
struct QueueNode {
    next: Cell<Option<Client>>,
    /// None while the client waits.
    budget: Cell<Option<u32>>,
}

impl<'a> ALock<'a> {
    pub(super) fn new(network: &'a Network, clients: u32) -> Self {
        Self {
            network,
            entries: RefCell::default(),
            clients: (0..clients).map(|_| QueueNode::default()).collect(),
        }
    }

    fn entry(&self, lock: Place) -> Rc<Entry> {
        let mut entries = self.entries.borrow_mut();
        Rc::clone(entries.entry(lock.number).or_default())
    }

    fn queue_node(&self, client: Client) -> &QueueNode {
        &self.clients[client.task]
    }

    /// Wakes the local client that waits for the remote queue.
    fn wake_watcher(&self, entry: &Entry) {
        if let Some(client) = entry.watcher.get() {
            self.network.engine.wake(client.task);
        }
    }

    /// Waits until the predecessor hands the lock over, and returns the budget.
    async fn handed_over(&self, me: Client) -> u32 {
        let queue_node = self.queue_node(me);
        self.network.engine.wait(|| queue_node.budget.get()).await
    }

    async fn acquire_local(&self, me: Client, entry: &Entry) {
        let (engine, costs) = (&self.network.engine, &self.network.costs);
        engine.sleep(costs.local).await;
        let Some(predecessor) = entry.local.replace(Some(me)) else {
            self.queue_node(me).budget.set(Some(LOCAL_BUDGET));
            return self.wait_for_remote(me, entry).await;
        };
        self.queue_node(predecessor).next.set(Some(me));
        engine.wake(predecessor.task);
        let budget = self.handed_over(me).await;
        engine.sleep(costs.handover).await;
        if budget == 0 {
            self.wait_for_remote(me, entry).await;
            self.queue_node(me).budget.set(Some(LOCAL_BUDGET));
        }
    }

    /// Peterson's algorithm, as the head of the local queue.
    async fn wait_for_remote(&self, me: Client, entry: &Entry) {
        entry.victim.set(Some(Queue::Local));
        let may_enter = || entry.remote.get().is_none() || entry.victim.get() != Some(Queue::Local);
        if may_enter() {
            return;
        }
        entry.watcher.set(Some(me));
        let engine = &self.network.engine;
        engine.wait(|| may_enter().then_some(())).await;
        entry.watcher.set(None);
        engine.sleep(self.network.costs.handover).await;
    }

    async fn release_local(&self, me: Client, entry: &Entry) {
        let (engine, queue_node) = (&self.network.engine, self.queue_node(me));
        engine.sleep(self.network.costs.local).await;
        if entry.local.get() == Some(me) {
            return entry.local.set(None);
        }
        let next = engine.wait(|| queue_node.next.get()).await;
        let budget = queue_node.budget.get().expect("it has the lock");
        self.queue_node(next).budget.set(Some(budget - 1));
        engine.wake(next.task);
    }

    async fn acquire_remote(&self, me: Client, lock: Place, entry: &Entry) {
        let network = self.network;
        let enqueue = || entry.remote.replace(Some(me));
        let before = network.atomic(lock.home, &entry.remote_word, enqueue).await;
        let Some(predecessor) = before else {
            self.queue_node(me).budget.set(Some(REMOTE_BUDGET));
            return self.wait_for_local(lock, entry).await;
        };
        let link = || {
            self.queue_node(predecessor).next.set(Some(me));
            network.engine.wake(predecessor.task);
        };
        network.access(predecessor.machine, link).await;
        if self.handed_over(me).await == 0 {
            self.wait_for_local(lock, entry).await;
            self.queue_node(me).budget.set(Some(REMOTE_BUDGET));
        }
    }

    /// Peterson's algorithm, as the head of the remote queue: reads the lock again and again.
    async fn wait_for_local(&self, lock: Place, entry: &Entry) {
        let yield_to_local = || {
            entry.victim.set(Some(Queue::Remote));
            self.wake_watcher(entry);
        };
        let word = &entry.victim_word;
        self.network.atomic(lock.home, word, yield_to_local).await;
        loop {
            let may_enter =
                || entry.local.get().is_none() || entry.victim.get() != Some(Queue::Remote);
            if self.network.access(lock.home, may_enter).await {
                return;
            }
        }
    }

    async fn release_remote(&self, me: Client, lock: Place, entry: &Entry) {
        let (network, queue_node) = (self.network, self.queue_node(me));
        let leave = || {
            let is_last = entry.remote.get() == Some(me);
            if is_last {
                entry.remote.set(None);
                self.wake_watcher(entry);
            }
            is_last
        };
        if network.atomic(lock.home, &entry.remote_word, leave).await {
            return;
        }
        let next = network.engine.wait(|| queue_node.next.get()).await;
        let budget = queue_node.budget.get().expect("it has the lock");
        let hand_over = || {
            self.queue_node(next).budget.set(Some(budget - 1));
            network.engine.wake(next.task);
        };
        network.access(next.machine, hand_over).await;
    }
}

impl Design for ALock<'_> {
    const NAME: &'static str = "ALock";

    async fn acquire(&self, me: Client, lock: Place, _writes: bool) {
        let entry = self.entry(lock);
        let queue_node = self.queue_node(me);
        queue_node.next.set(None);
        queue_node.budget.set(None);
        match lock.home == me.machine {
            true => self.acquire_local(me, &entry).await,
            false => self.acquire_remote(me, lock, &entry).await,
        }
    }

    async fn release(&self, me: Client, lock: Place, _writes: bool) {
        let entry = self.entry(lock);
        match lock.home == me.machine {
            true => self.release_local(me, &entry).await,
            false => self.release_remote(me, lock, &entry).await,
        }
    }
}
