//! The network over MPI.

mod contact;
mod held_back;
mod hosts;
mod schedule;
mod search;
mod server;
mod thread;

use crate::net::envelope::{Address, Announcements, Envelope, To};
use crate::net::network::contact::Contact;
use crate::net::network::held_back::HeldBack;
use crate::net::network::hosts::Hosts;
use crate::net::network::search::Searches;
use crate::net::network::server::Server;
use crate::net::service::{ErasedClient, ErasedService};
use crate::net::tail::Tail;
use crate::rsmpi::{Carrier, Context, Handler, Unsent};
pub(crate) use crate::rsmpi::{Piece, is_finalized as mpi_has_ended, level_below_multiple};
use crate::shm::absence::Absence;
use crate::shm::block::Block;
use crate::shm::buffer::Buffer;
use crate::shm::copy::CopyBytes;
use crate::shm::domain::{Domain, Outside, Urgency};
use crate::shm::lock;
use crate::shm::survivors::Position;
use crate::shm::topology::Topology;
use crate::shm::wait::Surroundings;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One communicator that spans nodes, as one rank sees it.
pub(crate) struct Network {
    context: Arc<Context>,
    /// This rank's parts of objects.
    clients: Mutex<BTreeMap<Address, Arc<dyn ErasedClient>>>,
    /// Some on the leader.
    server: Mutex<Option<Server>>,
    /// Announcements that arrived before those of an earlier rendezvous.
    early: Mutex<Vec<(u64, Announcements)>>,
    /// When the server was last inspected.
    inspected: Mutex<Instant>,
    /// How often this rank has polled because it waits.
    polls: AtomicU32,
    /// How many calls that had time it has made since then.
    unhurried: AtomicU32,
    /// Whether these have become many since the thread last looked.
    streams: AtomicBool,
    /// By local rank: whether its death has been reported to the other nodes.
    told: Vec<AtomicBool>,
    /// By local rank: whether its end has been reported to them.
    told_end: Vec<AtomicBool>,
    hosts: Hosts,
    /// The searches for deadlocks.
    searches: Searches,
    /// The messages that MPI failed to send to ranks not known to be dead, and when it failed.
    unsent: Mutex<Vec<(Unsent, Instant)>>,
    /// Whether `unsent` has entries, so that a poll need not lock it to find none.
    has_unsent: AtomicBool,
    held_back: HeldBack,
}

/// How long after a failed send the receiver's death may take to become known. It takes about 250
/// ms if the leader of its node is alive.
const UNSENT: Duration = Duration::from_secs(10);

/// How often a server checks for events that no message announces: ranks that died, objects that
/// were dropped.
const INSPECTION: Duration = Duration::from_millis(200);

/// How many calls that have time a rank serves itself between two waits, while the thread sleeps.
const SERVED_BY_RANK: u32 = 4;

impl Network {
    /// The network of a communicator that spans nodes. All ranks open it together with their first
    /// object.
    pub(crate) fn of(context: &Arc<Context>) -> Arc<Self> {
        if let Some(net) = thread::find(context) {
            return net;
        }
        let topology = context.domain().topology();
        let untold = || (topology.local_ranks().iter()).map(|_| AtomicBool::new(false));
        // Without a thread, a node is silent while its leader computes.
        let has_thread = context.carrier().is_some_and(|carrier| carrier.has_thread);
        let limit = context.silence().filter(|_| has_thread);
        let world_ranks = context.all().world_ranks();
        let contact = |rank: u32| Contact::with(world_ranks[rank as usize]);
        let net = Arc::new(Network {
            context: Arc::clone(context),
            clients: Mutex::default(),
            server: Mutex::new(topology.is_leader().then(Server::default)),
            early: Mutex::default(),
            inspected: Mutex::new(Instant::now()),
            polls: AtomicU32::new(0),
            unhurried: AtomicU32::new(0),
            streams: AtomicBool::new(false),
            told: untold().collect(),
            told_end: untold().collect(),
            hosts: Hosts::new(topology, limit, contact),
            searches: Searches::new(&world_ranks),
            unsent: Mutex::default(),
            has_unsent: AtomicBool::new(false),
            held_back: HeldBack::default(),
        });
        net.carrier().set_handler(Box::new(Arc::clone(&net)));
        context.domain().set_outside(Arc::clone(&net) as _);
        thread::register(&net);
        if topology.is_leader() {
            // The first beat: from now on the others know when this node becomes silent.
            net.watch_hosts();
        }
        net
    }

    pub(super) fn is_of(&self, context: &Arc<Context>) -> bool {
        Arc::ptr_eq(&self.context, context)
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    fn carrier(&self) -> &Carrier {
        self.context.carrier().expect("it spans nodes")
    }

    pub(crate) fn domain(&self) -> &Arc<Domain> {
        self.context.domain()
    }

    pub(crate) fn topology(&self) -> &Topology {
        self.domain().topology()
    }

    /// Sends a message to a rank; does not wait. Sends nothing to a leader that has died, because MPI
    /// might wait for it.
    pub(super) fn send(&self, rank: u32, bytes: impl Into<Buffer>) {
        let mut bytes = bytes.into();
        if let Some(first) = self.held_back.take(rank) {
            let length = first.len() as u32;
            let header = self.envelope(To::Both { first: length }).to_bytes();
            bytes = [&header[..], &first, &bytes].concat().into();
        }
        self.send_alone(rank, bytes);
    }

    /// Sends a message to a rank together with the next one, or when [`send_held_back`](Self::send_held_back) is called.
    pub(super) fn send_with_next(&self, rank: u32, bytes: Vec<u8>) {
        if let Some(before) = self.held_back.add(rank, bytes) {
            self.send_alone(rank, before.into());
        }
    }

    /// Sends the messages for which there was no next one.
    pub(super) fn send_held_back(&self) {
        for (rank, bytes) in self.held_back.take_all() {
            self.send_alone(rank, bytes.into());
        }
    }

    fn send_alone(&self, rank: u32, bytes: Buffer) {
        if self.is_dead_leader(rank) {
            return;
        }
        let (carrier, all) = (self.carrier(), self.context.all());
        let sent = carrier.send(all, rank, bytes, &|| self.is_on_lost_host(rank));
        sent.unwrap_or_else(|unsent| self.note_unsent(unsent));
    }

    /// Whether `rank` is the leader whose death this rank knows of.
    fn is_dead_leader(&self, rank: u32) -> bool {
        self.domain().segment().lost() == Some((rank, false))
    }

    /// Whether `rank` is on the host that is lost.
    fn is_on_lost_host(&self, rank: u32) -> bool {
        let node_of = |rank| self.topology().node_of(rank);
        let lost = self.domain().segment().lost();
        lost.is_some_and(|(leader, _)| node_of(leader) == node_of(rank))
    }

    /// How many messages of this rank are still in flight to ranks that are alive: MPI may never
    /// complete those to the others.
    pub(crate) fn unsent(&self) -> usize {
        let is_alive = |rank: u32| self.domain().rank_is_alive(rank as usize);
        self.carrier().unsent(&is_alive)
    }

    /// Passes this rank's messages for a part of an object to `client` from now on.
    pub(super) fn listen(&self, address: Address, client: Arc<dyn ErasedClient>) {
        lock(&self.clients).insert(address, client);
    }

    /// Ends this rank's parts of an object.
    pub(super) fn leave(&self, object: u64) {
        lock(&self.clients).retain(|address, _| address.object != object);
    }

    /// As the leader: begins to serve an object with memory; `block` is the server's view of it.
    pub(super) fn keep(&self, object: u64, home: u32, block: Arc<Block>) {
        self.act(|server| server.keep(object, home, block));
    }

    /// As the leader: passes this node's messages for a part of an object to `service` from now on.
    pub(super) fn serve(&self, address: Address, service: Box<dyn ErasedService>) {
        self.act(|server| server.serve(address, service));
    }

    /// As the leader: ends the service of a part of an object.
    pub(super) fn end_service(&self, address: Address) {
        self.act(|server| server.end(address));
    }

    /// How often ranks of this node have called the server.
    pub(super) fn calls(&self) -> u32 {
        let call = self.domain().segment().call();
        call.word.load(Ordering::SeqCst)
    }

    /// Whether there is a progress thread.
    pub(super) fn has_thread(&self) -> bool {
        self.carrier().has_thread
    }

    /// Whether a waiting thread polls.
    pub(super) fn is_polled_actively(&self) -> bool {
        self.carrier().is_polled_actively()
    }

    /// How often this rank has polled because it waits.
    pub(super) fn polls(&self) -> u32 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Handles the messages that have arrived. Returns whether there were any.
    pub(super) fn poll(&self) -> bool {
        if self.has_unsent.load(Ordering::Acquire) {
            self.check_unsent();
        }
        self.watch_leader();
        self.carrier()
            .poll(self.context.all())
            .unwrap_or_else(|unsent| {
                self.note_unsent(unsent);
                false
            })
    }

    /// Records that MPI has failed to send to a rank, or to receive from it. MPI may notice a death
    /// before mpisync does.
    #[cold]
    fn note_unsent(&self, unsent: Unsent) {
        lock(&self.unsent).push((unsent, Instant::now()));
        self.has_unsent.store(true, Ordering::Release);
    }

    /// If MPI failed to send to a leader that has not died, its host is lost. Panics if it failed to
    /// send to another rank that has not died: a rank would wait for the message forever.
    #[cold]
    fn check_unsent(&self) {
        let domain = self.domain();
        let mut unsent = lock(&self.unsent);
        unsent.retain(|(unsent, since)| {
            domain.rank_is_alive(unsent.rank as usize)
                && domain.segment().lost().is_none()
                && !self.lose_unreachable(unsent.rank, *since)
        });
        self.has_unsent.store(!unsent.is_empty(), Ordering::Release);
        if let Some((Unsent { rank, error }, _)) =
            unsent.iter().find(|(_, since)| since.elapsed() > UNSENT)
        {
            let here = self.rank();
            panic!("rank {here} cannot exchange messages with rank {rank}: {error}");
        }
    }

    /// Frees the resources that have to be freed before MPI is finalized. Collective.
    pub(super) fn close(&self) {
        self.carrier().close();
    }

    /// Sends a message without a body to the leaders of the other nodes.
    fn tell_other_leaders(&self, to: To) {
        self.send_to_other_leaders(&self.envelope(to).to_bytes());
    }

    /// Reports to the other nodes which ranks of this node have died or ended since the last call.
    fn report_departures(&self) {
        for (local_rank, &rank) in self.topology().local_ranks().iter().enumerate() {
            let is_new = |told: &[AtomicBool]| !told[local_rank].swap(true, Ordering::Relaxed);
            let report = |to| self.tell_other_leaders(to);
            if !self.domain().is_alive(local_rank) && is_new(&self.told) {
                report(To::Dead { rank });
            }
            if let Some(Absence::Ended { panicked }) = self.domain().local_end(local_rank)
                && is_new(&self.told_end)
            {
                report(To::Ended { rank, panicked });
            }
        }
    }

    /// Returns whether more may follow soon.
    fn handle(&self, bytes: &mut Vec<u8>) -> bool {
        let (Envelope { from, to }, message) = Envelope::open(bytes);
        let start = bytes.len() - message.len();
        self.hosts.hear(from);
        let is_beat = matches!(to, To::Beat);
        match to {
            To::Client(address) => {
                // None if this rank has dropped the object.
                let client = lock(&self.clients).get(&address).cloned();
                if let Some(client) = client {
                    client.receive(from, message);
                }
            }
            To::Service(address) => {
                let message = Tail::new(bytes, start);
                self.act(|server| server.receive(address, from, message));
            }
            To::Dropped { object } => self.act(|server| server.count_drop(self, object)),
            To::Forget { object } => self.act(|server| server.forget(object)),
            To::Announcements {
                number,
                announcements,
            } => self.receive_announcements(number, announcements),
            To::Dead { rank } => self.domain().note_death(rank),
            // This may be the node of this rank, if it did not run for long.
            To::Silent { rank } => drop(self.domain().segment().lose(rank, true)),
            To::Beat => {}
            To::Ended { rank, panicked } => self.domain().note_end(rank, panicked),
            To::SurvivorStep { step, position } => {
                self.domain().post_survivor_step(from, step, position);
            }
            To::Decision {
                step,
                excluded,
                resumed,
            } => {
                self.resume(resumed);
                self.domain().post_decision(step, &excluded, resumed);
            }
            To::Search(message) => self.receive_search(from, message),
            To::Both { first } => {
                let (first, second) = message.split_at(first as usize);
                let (mut first, mut second) = (first.to_vec(), second.to_vec());
                return self.handle(&mut first) | self.handle(&mut second);
            }
        }
        !is_beat
    }

    /// Calls `act` with the server of this node, if this rank has it.
    fn act(&self, act: impl FnOnce(&mut Server)) {
        if let Some(server) = lock(&self.server).as_mut() {
            act(server);
        }
    }

    /// Prepares this node for a decision of the ranks that are left. Announcements that are still to
    /// come from before are not posted any more.
    fn resume(&self, at: Position) {
        let mut early = lock(&self.early);
        early.clear();
        self.domain().resume_node(at.meetings);
    }

    /// Posts announcements in the order of the rendezvous. Different ranks of a node may have sent
    /// them, so they arrive in any order.
    fn receive_announcements(&self, number: u64, announcements: Announcements) {
        let mut early = lock(&self.early);
        early.push((number, announcements));
        let is_next = |(number, announcements): &(u64, Announcements)| {
            let posted = |rank: u32| &self.domain().arrival_slot(rank as usize).posted;
            let first = announcements.first();
            first.is_none_or(|(rank, _)| posted(*rank).load(Ordering::Relaxed) + 1 == *number)
        };
        while let Some(index) = early.iter().position(is_next) {
            let (number, announcements) = early.swap_remove(index);
            self.domain().post_remote(number, &announcements);
        }
    }

    /// Counts a call that has time. Returns whether there were many since this rank last polled.
    fn begins_to_stream(&self) -> bool {
        let streams = self.unhurried.fetch_add(1, Ordering::Relaxed) >= SERVED_BY_RANK;
        if streams {
            self.streams.store(true, Ordering::Relaxed);
        }
        streams
    }

    /// Whether this rank has made many calls without a wait since the last call of this function.
    pub(super) fn has_streamed(&self) -> bool {
        self.streams.load(Ordering::Relaxed) && self.streams.swap(false, Ordering::Relaxed)
    }

    /// Lets the server continue its unfinished work, and inspects it at intervals. Returns whether
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
                self.report_departures();
                self.watch_hosts();
                server.inspect(self);
            }
            is_busy = server.go_on(self);
        });
        if is_time {
            self.search_deadlocks();
        }
        is_busy || self.carrier().has_own()
    }
}

impl Outside for Network {
    fn progress(&self) {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.unhurried.store(0, Ordering::Relaxed);
        self.poll();
        if self.has_thread() && self.topology().is_leader() {
            // The thread leaves this to ranks that wait.
            self.go_on();
        }
    }

    fn poll_actively(&self, begins: bool) {
        self.carrier().poll_actively(begins);
    }

    fn serve(&self, urgency: Urgency, thread_sleeps: bool) -> bool {
        match urgency {
            Urgency::AtOnce => self.go_on() && thread_sleeps,
            // What this rank puts before the thread looks goes into one message.
            Urgency::Soon if self.has_thread() && self.begins_to_stream() => thread_sleeps,
            // The thread is about to look.
            Urgency::Soon if self.has_thread() && !thread_sleeps => false,
            // What is left has time until the thread or this rank looks by itself.
            Urgency::Soon | Urgency::Polls => {
                self.go_on();
                false
            }
        }
    }

    fn announce(&self, meeting: u64) {
        let announcements = self.domain().announcements(meeting);
        self.tell_other_leaders(To::Announcements {
            number: meeting,
            announcements,
        });
    }

    fn send_survivor_step(&self, step: u64, position: Position) {
        self.tell_other_leaders(To::SurvivorStep { step, position });
    }

    fn send_decision(&self, step: u64, excluded: Vec<u32>, resumed: Position) {
        self.resume(resumed);
        self.tell_other_leaders(To::Decision {
            step,
            excluded,
            resumed,
        });
    }
}

/// Large values, which travel beside messages.
impl Network {
    /// Sends a message to `rank`, and beside it a piece of `bytes`, which must not change until it
    /// is complete.
    pub(super) fn send_piece(
        &self,
        rank: u32,
        message: Vec<u8>,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> Piece {
        if self.is_dead_leader(rank) {
            return Piece::to_the_dead(rank);
        }
        let (carrier, all) = (self.carrier(), self.context.all());
        let give_up = || self.is_on_lost_host(rank);
        let sent = carrier.send_piece(all, rank, message.into(), bytes, place, &give_up);
        sent.unwrap_or_else(|unsent| {
            self.note_unsent(unsent);
            Piece::to_the_dead(rank)
        })
    }

    /// Begins to receive the piece that belongs to a message from `rank`.
    pub(super) fn receive_piece(&self, rank: u32, bytes: &CopyBytes, place: Range<usize>) -> Piece {
        Piece::receive(self.context.all(), rank, bytes, place)
    }
}

impl Handler for Arc<Network> {
    fn receive(&self, bytes: &mut Vec<u8>) -> bool {
        self.handle(bytes)
    }

    fn tend(&self) -> bool {
        self.go_on()
    }
}
