//! What mpisync keeps for one communicator on a node: the segment, who is alive, and what the ranks
//! agree on.

use crate::shm::arrival::{AnnouncementData, ArrivalSlot};
use crate::shm::atomic::{AtomicU32, Ordering};
use crate::shm::event::ALL;
use crate::shm::mapping::Mapping;
use crate::shm::membarrier;
use crate::shm::process::Process;
use crate::shm::segment::{Segment, Shape};
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::wait::{ROUND_TRIPS, Surroundings};
use crate::transport::Transport;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What mpisync keeps for one communicator on a node, as one rank of the node sees it.
pub(crate) struct Domain {
    topology: Topology,
    segment: Segment,
    transport: Transport,
    /// Whether it is on a communicator, and of no use any more when MPI ends.
    needs_mpi: bool,
    /// None for one process that needs no MPI.
    outside: OnceLock<Arc<dyn Outside>>,
    /// The seats whose ranks were found dead, so that each is looked up once.
    dead: Vec<AtomicBool>,
    /// Whether the processes of the ranks can be looked up at all, see [`Process::is_alive`].
    watched: Vec<AtomicBool>,
    /// How many `#[collective]` calls this rank is in at the moment.
    depth: AtomicU32,
    /// Whether this rank has come to its last meeting without reading the others' announcements.
    left_meeting: AtomicBool,
    /// Changes on all ranks together whenever a collective call failed; fences are counted anew
    /// from there.
    epoch: AtomicU32,
}

/// What is outside the memory of a node: MPI, and the other nodes.
pub(crate) trait Outside: Send + Sync {
    /// Lets MPI make progress on what this rank has under way, and handles messages from other
    /// nodes.
    fn progress(&self);

    /// This thread begins to call [`progress`](Self::progress) again and again, or ends that.
    fn poll_actively(&self, _begins: bool) {}

    /// On a leader: a rank of the node has called the server, which has to act now if there is no
    /// thread that does so soon.
    fn serve(&self, _now: bool) {}

    /// Tells the other nodes what all ranks of this node have posted for the meeting of that
    /// number.
    fn announce(&self, _meeting: u64) {}
}

impl Domain {
    fn new(topology: Topology, first: Mapping, transport: Transport) -> Self {
        let shape = Shape::of(&topology);
        let RankLocation::Local(seat) = topology.location(topology.rank() as usize) else {
            unreachable!("this rank is on its own node");
        };
        let segment = Segment::new(first, seat, shape);
        let this = Process::this();
        let heeds_fences = membarrier::register();
        let server =
            (topology.spans_nodes() && topology.is_leader()).then(|| shape.seat_of_server());
        for seat in [Some(seat), server].into_iter().flatten() {
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
            transport,
            needs_mpi: false,
            outside: OnceLock::new(),
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
        Arc::new(Self::new(topology, first, Transport::SharedMemory))
    }

    /// A domain of ranks that nobody can reach.
    #[cfg(test)]
    pub(crate) fn imagined(topology: Topology) -> Arc<Self> {
        let first = Mapping::private(Segment::first_length(Shape::of(&topology)));
        Arc::new(Self::new(topology, first, Transport::SharedMemory))
    }

    /// Takes the rank in this seat for dead.
    #[cfg(test)]
    pub(crate) fn reclaim(&self, seat: usize) {
        self.watched[seat].store(true, Ordering::Relaxed);
        self.dead[seat].store(true, Ordering::Relaxed);
    }

    /// A domain of the ranks of a communicator, which have all mapped `first`, each that of its
    /// node.
    pub(crate) fn shared(topology: Topology, first: Mapping, transport: Transport) -> Self {
        Domain {
            needs_mpi: true,
            ..Self::new(topology, first, transport)
        }
    }

    /// Says what is outside; once.
    pub(crate) fn set_outside(&self, outside: Arc<dyn Outside>) {
        let set = self.outside.set(outside);
        debug_assert!(set.is_ok(), "a domain has one outside");
    }

    /// Looks which ranks can be watched; after all of them have stored who they are.
    pub(crate) fn watch(&self) {
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

    /// Whether this rank has come to its last meeting without reading the others' announcements;
    /// not any more after this.
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

    /// How its ranks reach each other.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether it is on a communicator, and of no use any more when MPI ends.
    pub(crate) fn needs_mpi(&self) -> bool {
        self.needs_mpi
    }

    /// Whether the processes of all ranks of this node have registered for heavy fences; after all
    /// of them have stored who they are.
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
        match self.topology.location(rank) {
            RankLocation::Local(seat) => self.is_alive(seat),
            RankLocation::Remote(index) => {
                self.segment
                    .remote_member(index)
                    .dead
                    .load(Ordering::Acquire)
                    == 0
            }
        }
    }

    /// Where this rank, on whatever node, stands in collective calls.
    pub(crate) fn arrival_slot(&self, rank: usize) -> &ArrivalSlot {
        match self.topology.location(rank) {
            RankLocation::Local(seat) => &self.segment.member(seat).arrival_slot,
            RankLocation::Remote(index) => &self.segment.remote_member(index).arrival_slot,
        }
    }

    /// Where this rank stands in collective calls.
    pub(crate) fn my_arrival_slot(&self) -> &ArrivalSlot {
        &self.segment.member(self.segment.me()).arrival_slot
    }

    fn process(&self, seat: usize) -> Process {
        let member = self.segment.member(seat);
        Process {
            id: member.process.load(Ordering::Acquire),
            born: member.born.load(Ordering::Relaxed),
        }
    }
}

/// For the seats of this node.
impl Surroundings for Domain {
    fn progress(&self) {
        if let Some(outside) = self.outside.get() {
            outside.progress();
        }
    }

    fn poll_actively(&self, begins: bool) {
        if let Some(outside) = self.outside.get() {
            outside.poll_actively(begins);
        }
    }

    fn spin_budget(&self) -> Option<Duration> {
        self.topology.spans_nodes().then_some(ROUND_TRIPS)
    }

    fn is_alive(&self, seat: usize) -> bool {
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
}

/// Where it spans nodes.
impl Domain {
    /// Has the node's server look at what `called` belongs to; at once if `waits`, for this rank is
    /// about to wait.
    #[inline]
    pub(crate) fn call_server(&self, called: &AtomicU32, waits: bool) {
        let mut now = waits;
        // An exchange, so that the server either takes this call away, or sees all that this rank has done before.
        if called.swap(1, Ordering::SeqCst) == 0 {
            let call = self.segment.call();
            call.word.fetch_add(1, Ordering::SeqCst);
            // Until the thread is awake, some time passes.
            now |= call.has_sleepers();
            call.wake(ALL);
        }
        if self.topology.is_leader()
            && let Some(outside) = self.outside.get()
        {
            outside.serve(now);
        }
    }

    /// Tells the other nodes what all ranks of this node have posted for the meeting of that
    /// number.
    pub(crate) fn announce(&self, meeting: u64) {
        if let Some(outside) = self.outside.get() {
            outside.announce(meeting);
        }
    }

    /// What the ranks of this node have posted for the meeting of that number.
    pub(crate) fn announcements(&self, meeting: u64) -> Vec<(u32, AnnouncementData<'static>)> {
        let announcement = |&rank: &u32| {
            let arrival_slot = self.arrival_slot(rank as usize);
            (
                rank,
                arrival_slot.announcements[(meeting % 2) as usize].get(),
            )
        };
        self.topology
            .local_ranks()
            .iter()
            .map(announcement)
            .collect()
    }

    /// Puts announcements of other nodes' ranks on their arrival slots here.
    pub(crate) fn post_remote(
        &self,
        meeting: u64,
        announcements: &[(u32, AnnouncementData<'static>)],
    ) {
        for (rank, announcement) in announcements {
            let arrival_slot = self.arrival_slot(*rank as usize);
            arrival_slot.announcements[(meeting % 2) as usize].set(announcement);
            // An exchange, so that the look at the sleepers comes after it.
            arrival_slot.posted.swap(meeting, Ordering::SeqCst);
        }
        self.segment.arrival().notify(ALL);
    }

    /// Whether a rank is known to have died.
    pub(crate) fn has_lost_ranks(&self) -> bool {
        (0..self.topology.size()).any(|rank| !self.rank_is_alive(rank))
    }

    /// Notes that a rank of another node has died.
    pub(crate) fn note_death(&self, rank: u32) {
        if let RankLocation::Remote(index) = self.topology.location(rank as usize) {
            let dead = &self.segment.remote_member(index).dead;
            dead.store(1, Ordering::Release);
        }
    }
}
