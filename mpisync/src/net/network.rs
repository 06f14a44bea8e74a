//! The network where there is MPI.

use crate::net::envelope::{Address, Announcements, Envelope, To};
use crate::net::server::Server;
use crate::net::service::{ErasedClient, ErasedService};
use crate::net::thread;
#[cfg(feature = "region")]
use crate::rsmpi::Piece;
use crate::rsmpi::{Carrier, Context, Handler, Unsent};
use crate::shm::block::Block;
#[cfg(feature = "region")]
use crate::shm::copy::CopyBytes;
use crate::shm::domain::{Domain, Outside};
use crate::shm::lock;
use crate::shm::topology::Topology;
use crate::shm::wait::Surroundings;
use std::collections::BTreeMap;
#[cfg(feature = "region")]
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One communicator that spans nodes, as one rank sees it.
pub(crate) struct Network {
    context: Arc<Context>,
    /// This rank's parts of objects.
    clients: Mutex<BTreeMap<Address, Arc<dyn ErasedClient>>>,
    /// On the leader.
    server: Mutex<Option<Server>>,
    /// Announcements that arrived before those of the meeting before.
    early: Mutex<Vec<(u64, Announcements)>>,
    /// When the server was last inspected.
    inspected: Mutex<Instant>,
    /// The dead ranks of this node that other nodes have been told of, by seat.
    told: Vec<AtomicBool>,
    /// What MPI could not send to ranks that were not known to be dead, and since when.
    unsent: Mutex<Vec<(Unsent, Instant)>>,
    /// Whether there is any, so that nobody has to take the lock to find none.
    has_unsent: AtomicBool,
}

/// How long the death of a rank may take to be known after MPI has failed to send to it. That takes
/// about 250 ms where its node's leader lives.
const UNSENT: Duration = Duration::from_secs(10);

/// How often a server looks at what no message announces: ranks that died, objects that were
/// dropped.
const INSPECTION: Duration = Duration::from_millis(200);

impl Network {
    /// The network of a communicator that spans nodes, which all ranks open together with its first
    /// object.
    pub(crate) fn of(context: &Arc<Context>) -> Arc<Self> {
        if let Some(net) = thread::find(context) {
            return net;
        }
        let topology = context.domain().topology();
        let net = Arc::new(Network {
            context: Arc::clone(context),
            clients: Mutex::default(),
            server: Mutex::new(topology.is_leader().then(Server::default)),
            early: Mutex::default(),
            inspected: Mutex::new(Instant::now()),
            told: (topology.local_ranks().iter())
                .map(|_| AtomicBool::new(false))
                .collect(),
            unsent: Mutex::default(),
            has_unsent: AtomicBool::new(false),
        });
        net.carrier().set_handler(Box::new(Arc::clone(&net)));
        context.domain().set_outside(Arc::clone(&net) as _);
        thread::register(&net);
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

    /// Sends a message to a rank; does not wait.
    pub(super) fn send(&self, rank: u32, bytes: Vec<u8>) {
        let sent = self.carrier().send(self.context.all(), rank, bytes);
        sent.unwrap_or_else(|unsent| self.note_unsent(unsent));
    }

    /// How many messages of this rank are still under way.
    pub(crate) fn unsent(&self) -> usize {
        self.carrier().unsent()
    }

    /// Hands this rank's messages for a part of an object to `client` from now on.
    pub(super) fn listen(&self, address: Address, client: Arc<dyn ErasedClient>) {
        lock(&self.clients).insert(address, client);
    }

    /// Ends this rank's parts of an object.
    pub(super) fn leave(&self, object: u64) {
        lock(&self.clients).retain(|address, _| address.object != object);
    }

    /// As the leader: begins to serve an object with memory, of which `block` is the server's
    /// share.
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
        let call = self.domain().segment().call();
        call.word.load(Ordering::SeqCst)
    }

    /// Whether there is a thread that polls when no other does.
    pub(super) fn has_thread(&self) -> bool {
        self.carrier().has_thread
    }

    /// Whether a thread that waits for something polls.
    pub(super) fn is_polled_actively(&self) -> bool {
        self.carrier().is_polled_actively()
    }

    /// Handles the messages that have arrived; whether there were any.
    pub(super) fn poll(&self) -> bool {
        if self.has_unsent.load(Ordering::Acquire) {
            self.check_unsent();
        }
        self.carrier()
            .poll(self.context.all())
            .unwrap_or_else(|unsent| {
                self.note_unsent(unsent);
                false
            })
    }

    /// Notes that MPI has failed to send to a rank. MPI may notice a death before mpisync does.
    #[cold]
    fn note_unsent(&self, unsent: Unsent) {
        lock(&self.unsent).push((unsent, Instant::now()));
        self.has_unsent.store(true, Ordering::Release);
    }

    /// Panics where MPI could not send to a rank that has not died: that rank or another would wait
    /// for the message for good.
    #[cold]
    fn check_unsent(&self) {
        let domain = self.domain();
        let mut unsent = lock(&self.unsent);
        unsent.retain(|(unsent, _)| domain.rank_is_alive(unsent.rank as usize));
        self.has_unsent.store(!unsent.is_empty(), Ordering::Release);
        if let Some((Unsent { rank, error }, _)) =
            unsent.iter().find(|(_, since)| since.elapsed() > UNSENT)
        {
            let here = self.rank();
            panic!("rank {here} cannot send to rank {rank}: {error}");
        }
    }

    /// Gives back what has to be given back before MPI ends; collective.
    pub(super) fn close(&self) {
        self.carrier().close();
    }

    /// The ranks of this node that have died since this was asked last.
    fn newly_dead(&self) -> Vec<u32> {
        let here = self.topology().local_ranks().iter().enumerate();
        let is_new = |seat: usize| {
            !self.domain().is_alive(seat) && !self.told[seat].swap(true, Ordering::Relaxed)
        };
        here.filter(|&(seat, _)| is_new(seat))
            .map(|(_, &rank)| rank)
            .collect()
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
            To::Announcements {
                number,
                announcements,
            } => self.receive_notes(number, announcements),
            To::Dead { rank } => self.domain().note_death(rank),
        }
    }

    /// Lets the server of this node act, if this rank has it.
    fn act(&self, act: impl FnOnce(&mut Server)) {
        if let Some(server) = lock(&self.server).as_mut() {
            act(server);
        }
    }

    /// Posts announcements in the order of the meetings: they may have been sent by different ranks
    /// of a node, and so arrive in any order.
    fn receive_notes(&self, number: u64, announcements: Announcements) {
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

    /// Lets the server go on with what it could not do at once, and now and then inspects it;
    /// whether there is more to do.
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
                for rank in self.newly_dead() {
                    self.send_to_other_leaders(&self.envelope(To::Dead { rank }).to_bytes());
                }
                server.inspect(self);
            }
            is_busy = server.go_on(self);
        });
        is_busy || self.carrier().has_own()
    }
}

impl Outside for Network {
    fn progress(&self) {
        self.poll();
    }

    fn poll_actively(&self, begins: bool) {
        self.carrier().poll_actively(begins);
    }

    fn serve(&self, now: bool) {
        if now || !self.has_thread() {
            // This process has the server.
            self.go_on();
        }
    }

    fn announce(&self, meeting: u64) {
        let announcements = self.domain().announcements(meeting);
        let announcement = self.envelope(To::Announcements {
            number: meeting,
            announcements,
        });
        self.send_to_other_leaders(&announcement.to_bytes());
    }
}

/// Large values, which travel beside messages.
#[cfg(feature = "region")]
impl Network {
    /// Sends a message to `rank`, and beside it a piece of `bytes`, as they are while it is on its
    /// way.
    pub(super) fn send_piece(
        &self,
        rank: u32,
        message: Vec<u8>,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> Piece {
        let all = self.context.all();
        let sent = self.carrier().send_piece(all, rank, message, bytes, place);
        sent.unwrap_or_else(|unsent| {
            self.note_unsent(unsent);
            Piece::to_the_dead(rank)
        })
    }

    /// Begins to receive the piece that belongs to a message which has come from `rank`.
    pub(super) fn receive_piece(&self, rank: u32, bytes: &CopyBytes, place: Range<usize>) -> Piece {
        Piece::receive(self.context.all(), rank, bytes, place)
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
