//! The mutex of this library: not its code, but the messages and the order that its documentation
//! promises.
//!
//! Waiting clients are in one line, first come, first served. On the mutex's own machine a client
//! takes and releases it in memory. A client of another machine sends a request to the machine's
//! server and waits for the grant; it sends the release and does not wait.

use crate::compare::engine::Program;
use crate::compare::network::Network;
use crate::compare::run::{Client, Design, Place, Workload};
use crate::compare::server::Inboxes;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};

/// The mutexes, and when each client that waits for one gets it.
pub(super) struct Mutexes<'a> {
    network: &'a Network,
    machines: u32,
    mutexes: RefCell<HashMap<u64, Mutex>>,
    granted: Vec<Cell<Option<u64>>>,
    servers: Inboxes<'a, (Place, Message)>,
}

#[derive(Default)]
struct Mutex {
    is_taken: bool,
    line: VecDeque<Client>,
}

/// What a server finds in its inbox.
#[derive(Clone, Copy)]
enum Message {
    Request(Client),
    Release,
    /// A client of the server's machine has granted the mutex to this one: tell it.
    Granted(Client),
}

impl<'a> Mutexes<'a> {
    pub(super) fn new(network: &'a Network, workload: &Workload) -> Self {
        let clients = 0..workload.all_clients();
        Self {
            network,
            machines: workload.all_machines(),
            mutexes: RefCell::default(),
            granted: clients.map(|_| Cell::default()).collect(),
            servers: Inboxes::new(network, workload),
        }
    }

    /// Takes the mutex, or enters the line. Returns whether it was free.
    fn take(&self, lock: Place, client: Client) -> bool {
        let mut mutexes = self.mutexes.borrow_mut();
        let mutex = mutexes.entry(lock.number).or_default();
        let was_free = !mutex.is_taken;
        match was_free {
            true => mutex.is_taken = true,
            false => mutex.line.push_back(client),
        }
        was_free
    }

    /// Frees the mutex, or returns the client that is next.
    fn free(&self, lock: Place) -> Option<Client> {
        let mut mutexes = self.mutexes.borrow_mut();
        let mutex = mutexes.get_mut(&lock.number).expect("it is taken");
        let next = mutex.line.pop_front();
        mutex.is_taken = next.is_some();
        next
    }

    /// The client has the mutex from this time on.
    fn grant(&self, at: u64, client: Client) {
        self.granted[client.task].set(Some(at));
        self.network.engine.wake_at(at, client.task);
    }

    async fn granted(&self, me: Client) {
        let (engine, granted) = (&self.network.engine, &self.granted[me.task]);
        let is_granted = || granted.get().filter(|at| *at <= engine.now());
        engine.wait(is_granted).await;
        granted.set(None);
    }

    async fn serve(&self, machine: u32) {
        loop {
            let (lock, message) = self.servers.next(machine).await;
            let next = match message {
                Message::Request(client) => {
                    self.network.receive().await;
                    self.take(lock, client).then_some(client)
                }
                Message::Release => {
                    self.network.receive().await;
                    self.free(lock)
                }
                Message::Granted(client) => Some(client),
            };
            let Some(client) = next else {
                continue;
            };
            let at = match client.machine == machine {
                true => self.network.engine.now(),
                false => self.network.post().await,
            };
            self.grant(at, client);
        }
    }
}

impl Design for Mutexes<'_> {
    const NAME: &'static str = "mpisync mutex";

    async fn acquire(&self, me: Client, lock: Place, _writes: bool) {
        let (network, costs) = (self.network, &self.network.costs);
        if lock.home != me.machine {
            let at = network.post().await;
            self.servers
                .put(lock.home, at, (lock, Message::Request(me)));
            self.granted(me).await;
            return network.receive().await;
        }
        network.engine.sleep(costs.local).await;
        if !self.take(lock, me) {
            self.granted(me).await;
            network.engine.sleep(costs.handover).await;
        }
    }

    async fn release(&self, me: Client, lock: Place, _writes: bool) {
        let engine = &self.network.engine;
        if lock.home != me.machine {
            let at = self.network.post().await;
            return self.servers.put(lock.home, at, (lock, Message::Release));
        }
        engine.sleep(self.network.costs.local).await;
        match self.free(lock) {
            Some(client) if client.machine == me.machine => self.grant(engine.now(), client),
            Some(client) => {
                let message = (lock, Message::Granted(client));
                self.servers.put(lock.home, engine.now(), message);
            }
            None => {}
        }
    }

    fn servers(&self) -> Vec<Program<'_>> {
        let machines = 0..self.machines;
        machines
            .map(|machine| Box::pin(self.serve(machine)) as Program<'_>)
            .collect()
    }
}
