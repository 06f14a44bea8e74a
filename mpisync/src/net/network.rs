//! The network where there is MPI.

use super::envelope::{Address, Envelope, Notes, To};
use super::server::Server;
use super::service::{ErasedClient, ErasedService};
use super::thread;
use crate::memory::block::Block;
use crate::memory::domain::Domain;
use crate::memory::lock;
use crate::memory::mpi::Handler;
use crate::memory::topology::Topology;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One communicator that spans nodes, as one rank sees it.
pub(crate) struct Network {
    domain: Arc<Domain>,
    /// This rank's parts of objects.
    clients: Mutex<BTreeMap<Address, Arc<dyn ErasedClient>>>,
    /// On the leader.
    server: Mutex<Option<Server>>,
    /// Notes that arrived before those of the meeting before.
    early: Mutex<Vec<(u64, Notes)>>,
    /// When the server was last inspected.
    inspected: Mutex<Instant>,
}

/// How often a server looks at what no message announces: ranks that died, objects that were dropped.
const INSPECTION: Duration = Duration::from_millis(200);

impl Network {
    /// Begins to handle messages of `domain`, whose ranks do so together.
    pub(crate) fn open(domain: &Arc<Domain>) -> Arc<Self> {
        let leads = domain.topology().is_leader();
        let net = Arc::new(Network {
            domain: Arc::clone(domain),
            clients: Mutex::default(),
            server: Mutex::new(leads.then(Server::default)),
            early: Mutex::default(),
            inspected: Mutex::new(Instant::now()),
        });
        domain.set_handler(Box::new(Arc::clone(&net)));
        thread::register(&net);
        net
    }

    pub(crate) fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    pub(crate) fn topology(&self) -> &Topology {
        self.domain.topology()
    }

    /// Sends the leaders of all other nodes what this node's ranks have posted for a meeting.
    pub(crate) fn send_notes(&self, number: u64, notes: Notes) {
        self.send_to_other_leaders(&self.envelope(To::Notes { number, notes }).to_bytes());
    }

    /// Sends a message to a rank; does not wait.
    pub(super) fn send(&self, rank: u32, bytes: Vec<u8>) {
        self.domain.send(rank, bytes);
    }

    /// Hands this rank's messages for a part of an object to `client` from now on.
    pub(super) fn listen(&self, address: Address, client: Arc<dyn ErasedClient>) {
        lock(&self.clients).insert(address, client);
    }

    /// Ends this rank's parts of an object.
    pub(super) fn leave(&self, object: u64) {
        lock(&self.clients).retain(|address, _| address.object != object);
    }

    /// As the leader: begins to serve an object with memory, of which `block` is the server's share.
    pub(super) fn keep(&self, object: u64, home: u32, block: Arc<Block>) {
        self.act(|server| server.keep(object, home, block));
    }

    /// As the leader: hands this node's messages for a part of an object to `service` from now on.
    pub(super) fn serve(&self, address: Address, service: Box<dyn ErasedService>) {
        self.act(|server| server.serve(address, service));
    }

    /// As the leader: ends the service of a part of an object.
    pub(super) fn end_service(&self, address: Address) {
        self.act(|server| server.end(address));
    }

    /// How often ranks of this node have called the server.
    pub(super) fn calls(&self) -> u32 {
        let call = self.domain.segment().call();
        call.word.load(Ordering::SeqCst)
    }

    /// Whether a thread polls when no other does.
    pub(crate) fn has_thread(&self) -> bool {
        self.domain.has_progress_thread()
    }

    /// Handles the messages that have arrived; whether there were any.
    pub(super) fn poll(&self) -> bool {
        self.domain.poll()
    }

    /// Whether a thread that waits for something polls.
    pub(super) fn is_attended(&self) -> bool {
        self.domain.is_attended()
    }

    fn handle(&self, bytes: &[u8]) {
        let (Envelope { from, to }, message) = Envelope::open(bytes);
        match to {
            To::Client(address) => {
                // None where this rank has dropped the object.
                let client = lock(&self.clients).get(&address).cloned();
                if let Some(client) = client {
                    client.receive(from, message);
                }
            }
            To::Service(address) => self.act(|server| server.receive(address, from, message)),
            To::Dropped { object } => self.act(|server| server.count_drop(self, object)),
            To::Forget { object } => self.act(|server| server.forget(object)),
            To::Notes { number, notes } => self.receive_notes(number, notes),
            To::Dead { rank } => self.domain.note_death(rank),
        }
    }

    /// Lets the server of this node act, if this rank has it.
    fn act(&self, act: impl FnOnce(&mut Server)) {
        if let Some(server) = lock(&self.server).as_mut() {
            act(server);
        }
    }

    /// Posts notes in the order of the meetings: they may have been sent by different ranks of a node,
    /// and so arrive in any order.
    fn receive_notes(&self, number: u64, notes: Notes) {
        let mut early = lock(&self.early);
        early.push((number, notes));
        let is_next = |(number, notes): &(u64, Notes)| {
            let posted = |rank: u32| &self.domain.board(rank as usize).posted;
            let first = notes.first();
            first.is_none_or(|(rank, _)| posted(*rank).load(Ordering::Relaxed) + 1 == *number)
        };
        while let Some(index) = early.iter().position(is_next) {
            let (number, notes) = early.swap_remove(index);
            self.domain.post_far(number, &notes);
        }
    }

    /// Lets the server go on with what it could not do at once, and now and then inspects it; whether
    /// there is more to do.
    pub(crate) fn go_on(&self) -> bool {
        let is_time = {
            let mut inspected = lock(&self.inspected);
            let is_time = inspected.elapsed() >= INSPECTION;
            if is_time {
                *inspected = Instant::now();
            }
            is_time
        };
        let mut is_busy = false;
        self.act(|server| {
            if is_time {
                for rank in self.domain.newly_dead() {
                    self.send_to_other_leaders(&self.envelope(To::Dead { rank }).to_bytes());
                }
                server.inspect(self);
            }
            is_busy = server.go_on(self);
        });
        is_busy || self.domain.has_own_messages()
    }
}

impl Handler for Arc<Network> {
    fn receive(&self, bytes: &[u8]) {
        self.handle(bytes);
    }

    fn tend(&self) -> bool {
        self.go_on()
    }
}
