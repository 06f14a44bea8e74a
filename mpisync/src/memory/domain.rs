//! What mpisync keeps for one communicator: a communicator of its own, the segment, and what its ranks agree on.

use super::barrier;
#[cfg(all(feature = "mpi", feature = "region"))]
use super::copy::CopyBytes;
use super::event::ALL;
use super::mapping::Mapping;
#[cfg(feature = "mpi")]
use super::mpi;
use super::process::Process;
use super::segment::{Segment, Shape};
use super::topology::{RankPlace, Topology};
use super::words::board::Board;
#[cfg(feature = "mpi")]
use super::{lock, words::board::NoteData};
use crate::net::Network;
use crate::transport::Transport;
#[cfg(all(feature = "mpi", feature = "region"))]
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
#[cfg(feature = "mpi")]
use std::sync::{Mutex, OnceLock, atomic::AtomicU64};
#[cfg(feature = "mpi")]
use std::time::{Duration, Instant};

/// What mpisync keeps for one communicator, as this rank sees it.
///
/// It hangs on the user's communicator as an attribute, so that all controllers of a communicator share it.
pub(crate) struct Domain {
    topology: Topology,
    segment: Segment,
    /// Duplicates of the user's communicator, so that messages of mpisync and of the program never meet; none for
    /// a domain of one process that needs no MPI.
    #[cfg(feature = "mpi")]
    pub(super) comms: Option<Comms>,
    /// The seats whose ranks were found dead, so that each is looked up once.
    dead: Vec<AtomicBool>,
    /// Whether the processes of the ranks can be looked up at all, see [`Process::is_alive`].
    watched: Vec<AtomicBool>,
    /// How many `#[collective]` calls this rank is in at the moment.
    depth: AtomicU32,
    /// Whether this rank has come to its last meeting without reading the others' notes.
    left_meeting: AtomicBool,
    /// Changes on all ranks together whenever a collective call failed; fences are counted anew from there.
    epoch: AtomicU32,
}

/// A domain's communicators.
#[cfg(feature = "mpi")]
pub(super) struct Comms {
    pub(super) all: mpi::OwnComm,
    /// Where the domain spans nodes.
    pub(super) far: Option<Far>,
}

/// What a domain that spans nodes has beside.
#[cfg(feature = "mpi")]
pub(super) struct Far {
    /// The ranks of this node.
    pub(super) node: mpi::OwnComm,
    pub(super) carrier: mpi::Carrier,
    /// How many controllers and channels have been made; the same on all ranks.
    pub(super) objects: AtomicU64,
    /// The dead ranks of this node that other nodes have been told of, by seat.
    told: Vec<AtomicBool>,
    network: OnceLock<Arc<Network>>,
    /// What MPI could not send to ranks that were not known to be dead, and since when.
    unsent: Mutex<Vec<(mpi::Unsent, Instant)>>,
    /// Whether there is any, so that nobody has to take the lock to find none.
    has_unsent: AtomicBool,
}

/// How long the death of a rank may take to be known after MPI has failed to send to it. That takes about 250 ms where its
/// node's leader lives.
#[cfg(feature = "mpi")]
const UNSENT: Duration = Duration::from_secs(10);

impl Domain {
    fn new(topology: Topology, first: Mapping) -> Self {
        let shape = Shape::of(&topology);
        let RankPlace::Here(seat) = topology.place(topology.rank() as usize) else {
            unreachable!("this rank is on its own node");
        };
        let segment = Segment::new(first, seat, shape);
        let this = Process::this();
        let heeds_fences = barrier::register();
        let agent = (topology.spans_nodes() && topology.is_leader()).then(|| shape.seat_of_agent());
        for seat in [Some(seat), agent].into_iter().flatten() {
            let member = segment.member(seat);
            member
                .heeds_fences
                .store(heeds_fences.into(), Ordering::Relaxed);
            member.born.store(this.born, Ordering::Relaxed);
            member.process.store(this.id, Ordering::Release);
        }
        let unset = || (0..shape.seats).map(|_| AtomicBool::new(false)).collect();
        Domain {
            topology,
            segment,
            #[cfg(feature = "mpi")]
            comms: None,
            dead: unset(),
            watched: unset(),
            depth: AtomicU32::new(0),
            left_meeting: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
        }
    }

    /// A domain of this process alone, for one block of that length.
    pub(crate) fn local(block: usize) -> Arc<Self> {
        let topology = Topology::one_node(0, 1);
        let first = Mapping::private(Segment::length_for_one(Shape::of(&topology), block));
        Arc::new(Self::new(topology, first))
    }

    /// A domain of ranks that nobody can reach.
    #[cfg(test)]
    pub(crate) fn imagined(topology: Topology) -> Arc<Self> {
        let first = Mapping::private(Segment::first_length(Shape::of(&topology)));
        Arc::new(Self::new(topology, first))
    }

    /// Takes the rank in this seat for dead.
    #[cfg(test)]
    pub(crate) fn bury(&self, seat: usize) {
        self.watched[seat].store(true, Ordering::Relaxed);
        self.dead[seat].store(true, Ordering::Relaxed);
    }

    /// A domain on `all`, whose ranks have all mapped `first`, each that of its node.
    #[cfg(feature = "mpi")]
    pub(super) fn on(
        all: mpi::OwnComm,
        far: Option<(mpi::OwnComm, mpi::Carrier)>,
        topology: Topology,
        first: Mapping,
    ) -> Self {
        let here = topology.here().len();
        let mut domain = Self::new(topology, first);
        let far = far.map(|(node, carrier)| Far {
            node,
            carrier,
            objects: AtomicU64::new(0),
            told: (0..here).map(|_| AtomicBool::new(false)).collect(),
            network: OnceLock::new(),
            unsent: Mutex::new(Vec::new()),
            has_unsent: AtomicBool::new(false),
        });
        domain.comms = Some(Comms { all, far });
        domain
    }

    /// Looks which ranks can be watched; after all of them have stored who they are.
    #[cfg(feature = "mpi")]
    pub(super) fn watch(&self) {
        for (seat, watched) in self.watched.iter().enumerate() {
            watched.store(self.process(seat).is_visible(), Ordering::Relaxed);
        }
    }

    /// Which rank runs where.
    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// In how many `#[collective]` calls this rank is.
    pub(crate) fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    pub(crate) fn set_depth(&self, depth: u32) {
        self.depth.store(depth, Ordering::Relaxed);
    }

    /// Whether this rank has come to its last meeting without reading the others' notes; not any more after this.
    pub(crate) fn take_left_meeting(&self) -> bool {
        self.left_meeting.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn set_left_meeting(&self) {
        self.left_meeting.store(true, Ordering::Relaxed);
    }

    /// From when fences are counted.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Counts fences anew; on all ranks together.
    pub(crate) fn advance_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Lets MPI make progress on what this rank has under way, and handles messages from other nodes.
    pub(crate) fn progress(&self) {
        #[cfg(feature = "mpi")]
        if let Some(comms) = &self.comms {
            match &comms.far {
                Some(_) => {
                    self.poll();
                }
                None => comms.all.progress(),
            }
        }
    }

    /// How its ranks reach each other.
    pub(crate) fn transport(&self) -> Transport {
        #[cfg(feature = "mpi")]
        if let Some(far) = self.comms.as_ref().and_then(|comms| comms.far.as_ref()) {
            return match far.carrier.has_window() {
                true => Transport::Windows,
                false => Transport::Messages,
            };
        }
        Transport::SharedMemory
    }

    /// This thread begins to let MPI make progress again and again, or ends that.
    pub(crate) fn attend(&self, attends: bool) {
        #[cfg(feature = "mpi")]
        if let Some(far) = self.comms.as_ref().and_then(|comms| comms.far.as_ref()) {
            far.carrier.attend(attends);
        }
        #[cfg(not(feature = "mpi"))]
        let _ = attends;
    }

    /// Whether it is on a communicator, and of no use any more when MPI ends.
    pub(crate) fn needs_mpi(&self) -> bool {
        #[cfg(feature = "mpi")]
        return self.comms.is_some();
        #[cfg(not(feature = "mpi"))]
        return false;
    }

    /// Whether the rank in this seat still runs.
    pub(crate) fn is_alive(&self, seat: usize) -> bool {
        if seat == self.segment.me() || !self.watched[seat].load(Ordering::Relaxed) {
            return true;
        }
        let dead = &self.dead[seat];
        if dead.load(Ordering::Relaxed) {
            return false;
        }
        let alive = self.process(seat).is_alive();
        dead.store(!alive, Ordering::Relaxed);
        alive
    }

    /// Whether the processes of all ranks of this node have registered for heavy fences; after all of them have stored
    /// who they are.
    pub(crate) fn heeds_fences(&self) -> bool {
        (0..self.segment.shape().seats).all(|seat| {
            let member = self.segment.member(seat);
            member.heeds_fences.load(Ordering::Relaxed) != 0
        })
    }

    /// Whether the rank in this seat has been found dead before.
    pub(crate) fn is_known_dead(&self, seat: usize) -> bool {
        self.dead[seat].load(Ordering::Relaxed)
    }

    /// Whether this rank, on whatever node, still runs as far as is known.
    pub(crate) fn rank_is_alive(&self, rank: usize) -> bool {
        match self.topology.place(rank) {
            RankPlace::Here(seat) => self.is_alive(seat),
            RankPlace::Far(index) => {
                self.segment.far_member(index).dead.load(Ordering::Acquire) == 0
            }
        }
    }

    /// Where this rank, on whatever node, stands in collective calls.
    pub(crate) fn board(&self, rank: usize) -> &Board {
        match self.topology.place(rank) {
            RankPlace::Here(seat) => &self.segment.member(seat).board,
            RankPlace::Far(index) => &self.segment.far_member(index).board,
        }
    }

    /// Where this rank stands in collective calls.
    pub(crate) fn my_board(&self) -> &Board {
        &self.segment.member(self.segment.me()).board
    }

    fn process(&self, seat: usize) -> Process {
        let member = self.segment.member(seat);
        Process {
            id: member.process.load(Ordering::Acquire),
            born: member.born.load(Ordering::Relaxed),
        }
    }
}

/// Where it spans nodes.
impl Domain {
    /// The network of this domain, made with the first object.
    pub(crate) fn network(self: &Arc<Self>) -> Option<&Arc<Network>> {
        if !self.topology.spans_nodes() {
            return None;
        }
        #[cfg(feature = "mpi")]
        return Some((self.comms().1.network).get_or_init(|| Network::open(self)));
        #[cfg(not(feature = "mpi"))]
        return None;
    }

    /// Has the node's server look at what `called` belongs to.
    #[inline]
    pub(crate) fn call_server(self: &Arc<Self>, called: &AtomicU32, waits: bool) {
        let mut acts = waits;
        // An exchange, so that the server either takes this call away, or sees all that this rank has done before.
        if called.swap(1, Ordering::SeqCst) == 0 {
            let call = self.segment.call();
            call.word.fetch_add(1, Ordering::SeqCst);
            // Until the thread is awake, some time passes.
            acts |= call.has_sleepers();
            call.wake(ALL);
        }
        if self.topology.is_leader()
            && let Some(net) = self.network()
            && (acts || !net.has_thread())
        {
            // This process has the server.
            net.go_on();
        }
    }

    /// How many messages of this rank are still under way.
    pub(crate) fn unsent(&self) -> usize {
        #[cfg(feature = "mpi")]
        return self.comms().1.carrier.unsent();
        #[cfg(not(feature = "mpi"))]
        return 0;
    }

    /// Whether a rank is known to have died.
    pub(crate) fn has_lost_ranks(&self) -> bool {
        (0..self.topology.size()).any(|rank| !self.rank_is_alive(rank))
    }
}

#[cfg(feature = "mpi")]
impl Domain {
    fn comms(&self) -> (&mpi::OwnComm, &Far) {
        let comms = self.comms.as_ref().expect("a domain on a communicator");
        let far = comms.far.as_ref().expect("a domain that spans nodes");
        (&comms.all, far)
    }

    /// Says what is done with messages from other nodes.
    pub(crate) fn set_handler(&self, handler: Box<dyn mpi::Handler>) {
        self.comms().1.carrier.set_handler(handler);
    }

    /// Sends a message to `rank`.
    pub(crate) fn send(&self, rank: u32, bytes: Vec<u8>) {
        let (all, far) = self.comms();
        let sent = far.carrier.send(all, rank, bytes);
        sent.unwrap_or_else(|unsent| self.note_unsent(unsent));
    }

    /// Notes that MPI has failed to send to a rank. MPI may notice a death before mpisync does.
    #[cold]
    fn note_unsent(&self, unsent: mpi::Unsent) {
        let far = self.comms().1;
        lock(&far.unsent).push((unsent, Instant::now()));
        far.has_unsent.store(true, Ordering::Release);
    }

    /// Panics where MPI could not send to a rank that has not died: that rank or another would wait for the message for good.
    #[cold]
    fn check_unsent(&self) {
        let far = self.comms().1;
        let mut unsent = lock(&far.unsent);
        unsent.retain(|(unsent, _)| self.rank_is_alive(unsent.rank as usize));
        far.has_unsent.store(!unsent.is_empty(), Ordering::Release);
        if let Some((mpi::Unsent { rank, error }, _)) =
            unsent.iter().find(|(_, since)| since.elapsed() > UNSENT)
        {
            let here = self.topology.rank();
            panic!("rank {here} cannot send to rank {rank}: {error}");
        }
    }

    /// Sends a message to `rank`, and beside it a piece of `bytes`, as they are while it is on its way.
    #[cfg(feature = "region")]
    pub(crate) fn send_piece(
        &self,
        rank: u32,
        message: Vec<u8>,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> mpi::Piece {
        let (all, far) = self.comms();
        let sent = far.carrier.send_piece(all, rank, message, bytes, place);
        sent.unwrap_or_else(|unsent| {
            self.note_unsent(unsent);
            mpi::Piece::to_the_dead(rank)
        })
    }

    /// Begins to receive the piece that belongs to a message which has come from `rank`.
    #[cfg(feature = "region")]
    pub(crate) fn receive_piece(
        &self,
        rank: u32,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> mpi::Piece {
        mpi::Piece::receive(self.comms().0, rank, bytes, place)
    }

    /// Whether this rank has sent itself a message that is not handled yet.
    pub(crate) fn has_own_messages(&self) -> bool {
        self.comms().1.carrier.has_own()
    }

    /// Handles the messages that have come; whether there were any.
    pub(crate) fn poll(&self) -> bool {
        let (all, far) = self.comms();
        if far.has_unsent.load(Ordering::Acquire) {
            self.check_unsent();
        }
        far.carrier.poll(all).unwrap_or_else(|unsent| {
            self.note_unsent(unsent);
            false
        })
    }

    /// Whether there is a thread that polls when no other does.
    pub(crate) fn has_progress_thread(&self) -> bool {
        self.comms().1.carrier.has_thread
    }

    /// Gives back what has to be given back before MPI ends; collective.
    pub(crate) fn close_carrier(&self) {
        self.comms().1.carrier.close();
    }

    /// Whether a thread of this process polls anyway.
    pub(crate) fn is_attended(&self) -> bool {
        self.comms().1.carrier.is_attended()
    }

    /// Begins to wait until all ranks have come to the end of MPI.
    pub(crate) fn begin_farewell(&self) -> Result<mpi::Farewell, crate::error::CreateError> {
        self.comms().0.begin_barrier()
    }

    /// The ranks of this node that have died since this was asked last.
    pub(crate) fn newly_dead(&self) -> Vec<u32> {
        let told = &self.comms().1.told;
        let here = self.topology.here().iter().enumerate();
        here.filter(|&(seat, _)| !self.is_alive(seat) && !told[seat].swap(true, Ordering::Relaxed))
            .map(|(_, &rank)| rank)
            .collect()
    }

    /// Notes that a rank of another node has died.
    pub(crate) fn note_death(&self, rank: u32) {
        if let RankPlace::Far(index) = self.topology.place(rank as usize) {
            let dead = &self.segment.far_member(index).dead;
            dead.store(1, Ordering::Release);
        }
    }

    /// Puts notes of other nodes' ranks on their boards here.
    pub(crate) fn post_far(&self, number: u64, notes: &[(u32, NoteData<'static>)]) {
        for (rank, note) in notes {
            let board = self.board(*rank as usize);
            board.notes[(number % 2) as usize].set(note);
            // An exchange, so that the look at the sleepers comes after it.
            board.posted.swap(number, Ordering::SeqCst);
        }
        self.segment.arrival().notify(ALL);
    }
}

#[cfg(feature = "mpi")]
impl Drop for Domain {
    fn drop(&mut self) {
        if let Some(comms) = self.comms.take() {
            comms.all.retire();
            if let Some(far) = comms.far {
                far.node.retire();
            }
        }
    }
}
