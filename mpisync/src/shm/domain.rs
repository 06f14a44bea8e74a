//! The state of one communicator on a node: its memory, the liveness of its ranks, and where this
//! rank is in collective calls.

use crate::error::HostRanks;
use crate::shm::absence::{Absence, HostLoss};
use crate::shm::arrival::{AnnouncementData, ArrivalSlot, EXIT};
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::event::ALL;
use crate::shm::liveness::Liveness;
use crate::shm::lock;
use crate::shm::mapping::Mapping;
use crate::shm::membarrier::{Reach, can_run_heavy_fence};
use crate::shm::process::{self, Process};
use crate::shm::program::Program;
use crate::shm::segment::{Segment, Shape};
use crate::shm::survivors::Position;
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::wait::{ROUND_TRIPS, Stop, Surroundings};
use crate::transport::Transport;
use std::iter;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// The state of one communicator on a node, as one rank of the node sees it.
pub(crate) struct Domain {
    topology: Topology,
    segment: Segment,
    transport: Transport,
    /// Whether it is on a communicator, and unusable after MPI is finalized.
    needs_mpi: bool,
    /// The number of the communicator, the same on all its ranks, of all nodes.
    number: OnceLock<u64>,
    /// None for a single process without MPI.
    outside: OnceLock<Arc<dyn Outside>>,
    /// The local ranks that were found dead, so that each is looked up once.
    dead: Vec<AtomicBool>,
    /// Whether the process of each local rank can be looked up, see [`Process::is_alive`].
    watched: Vec<AtomicBool>,
    /// The lives of the others, if not all processes can be looked up.
    liveness: OnceLock<Liveness>,
    /// How many nested `#[collective]` calls this rank is in.
    depth: AtomicU32,
    /// The thread that entered the innermost of them.
    caller: Mutex<Option<ThreadId>>,
    /// Whether this rank has left its last rendezvous without reading the others' announcements.
    left_meeting: AtomicBool,
    /// Changes on all ranks together when a collective call has failed; fences are counted from
    /// zero again.
    epoch: AtomicU32,
    /// How many attempts at an agreement on the ranks that are left this rank has finished.
    agreements: AtomicU64,
    /// Whether the ranks that are left have agreed that some ranks are not among them.
    has_excluded: AtomicBool,
}

/// Everything outside the memory of a node: MPI and the other nodes.
pub(crate) trait Outside: Send + Sync {
    /// Lets MPI make progress on this rank's operations, and handles messages from other nodes.
    fn progress(&self);

    /// This thread begins to call [`progress`](Self::progress) in a loop, or ends the loop.
    fn poll_actively(&self, _begins: bool) {}

    /// On a leader: a rank of the node has called the server. The server has to act at once if
    /// `now` is set or if there is no progress thread.
    fn serve(&self, _now: bool) {}

    /// Sends the announcements that all ranks of this node have posted for the rendezvous of this
    /// number to the other nodes.
    fn announce(&self, _meeting: u64) {}

    /// Notifies the other nodes that this rank has posted a step of the agreement on the ranks that
    /// are left.
    fn send_survivor_step(&self, _step: u64, _position: Position) {}

    /// Sends the decision of an attempt to the other nodes: the ranks that are not left, and where
    /// the others go on.
    fn send_decision(&self, _step: u64, _excluded: Vec<u32>, _resumed: Position) {}
}

impl Domain {
    fn new(topology: Topology, first: Mapping, transport: Transport) -> Self {
        let shape = Shape::of(&topology);
        let RankLocation::Local(local_rank) = topology.location(topology.rank() as usize) else {
            unreachable!("this rank is on its own node");
        };
        let segment = Segment::new(first, local_rank, shape);
        let this = Process::this();
        let can_fence = can_run_heavy_fence(reach(&topology));
        if local_rank == 0 {
            segment.identify(&topology);
        }
        let rank = topology.rank() + 1;
        segment
            .member(local_rank)
            .rank
            .store(rank, Ordering::Relaxed);
        for local_rank in members_here(&topology, local_rank) {
            let member = segment.member(local_rank);
            member.can_fence.store(can_fence.into(), Ordering::Relaxed);
            member.born.store(this.born, Ordering::Relaxed);
            member.process.store(this.id, Ordering::Release);
        }
        let unset = || (0..shape.members).map(|_| AtomicBool::new(false)).collect();
        Domain {
            topology,
            segment,
            transport,
            needs_mpi: false,
            number: OnceLock::new(),
            outside: OnceLock::new(),
            dead: unset(),
            watched: unset(),
            liveness: OnceLock::new(),
            depth: AtomicU32::new(0),
            caller: Mutex::default(),
            left_meeting: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            agreements: AtomicU64::new(0),
            has_excluded: AtomicBool::new(false),
        }
    }

    /// A domain of this process alone, for one block of this length.
    pub(crate) fn local(block: usize) -> Arc<Self> {
        let topology = Topology::one_node(0, 1);
        let first = Mapping::private(Segment::length_for_one(Shape::of(&topology), block));
        Arc::new(Self::new(topology, first, Transport::SharedMemory))
    }

    /// A domain of the ranks of a communicator. Each has mapped the `first` chunk of its node.
    pub(crate) fn shared(topology: Topology, first: Mapping, transport: Transport) -> Self {
        let domain = Domain {
            needs_mpi: true,
            ..Self::new(topology, first, transport)
        };
        let namespace = process::namespace();
        for local_rank in members_here(&domain.topology, domain.segment.me()) {
            let member = domain.segment.member(local_rank);
            member.namespace.store(namespace, Ordering::Relaxed);
        }
        if let Some(program) = Program::this() {
            let member = domain.segment.member(domain.segment.me());
            member.anchor.store(program.anchor, Ordering::Relaxed);
            member.program.store(program.identity, Ordering::Release);
        }
        domain
    }

    /// Sets the outside; called once.
    pub(crate) fn set_outside(&self, outside: Arc<dyn Outside>) {
        let set = self.outside.set(outside);
        debug_assert!(set.is_ok(), "a domain has one outside");
    }

    /// Sets the number of the communicator; called once.
    pub(crate) fn set_number(&self, number: u64) {
        let set = self.number.set(number);
        debug_assert!(set.is_ok(), "a communicator has one number");
        self.segment.set_number(number);
    }

    /// The number of the communicator, the same on all its ranks, of all nodes. None for a single
    /// process without MPI.
    pub(crate) fn number(&self) -> Option<u64> {
        self.number.get().copied()
    }

    /// Finds out which ranks can be watched, and makes this rank's waits visible to them; called
    /// after all of them have stored their processes. Returns whether all can be watched.
    pub(crate) fn watch(&self) -> bool {
        self.segment.record_waits(self.topology.local_ranks());
        let namespace = |local_rank| {
            let member = self.segment.member(local_rank);
            member.namespace.load(Ordering::Relaxed)
        };
        let here = namespace(self.segment.me());
        for (local_rank, watched) in self.watched.iter().enumerate() {
            // The same number is another process in another namespace.
            let is_here = namespace(local_rank) == here;
            let is_visible = is_here && self.process(local_rank).is_visible();
            watched.store(is_visible, Ordering::Relaxed);
        }
        (self.watched.iter()).all(|watched| watched.load(Ordering::Relaxed))
    }

    /// Lets the other ranks of the node find out by `liveness` whether this process is alive.
    /// Returns whether they can.
    pub(crate) fn show_life(&self, liveness: &Liveness) -> bool {
        let mut held = members_here(&self.topology, self.segment.me());
        held.all(|local_rank| liveness.hold(local_rank).is_ok())
    }

    /// Watches the ranks that cannot be looked up by `liveness`; called after
    /// [`show_life`](Self::show_life) on all ranks.
    pub(crate) fn watch_by(&self, liveness: Liveness) {
        let set = self.liveness.set(liveness);
        debug_assert!(set.is_ok(), "a domain has one");
    }

    /// Which rank runs where.
    #[inline]
    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// How many nested `#[collective]` calls this rank is in.
    pub(crate) fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    pub(crate) fn set_depth(&self, depth: u32) {
        *lock(&self.caller) = (depth > 0).then(|| thread::current().id());
        self.depth.store(depth, Ordering::Relaxed);
    }

    /// Whether this rank has left its last rendezvous without reading the others' announcements.
    /// Resets the flag.
    pub(crate) fn take_left_meeting(&self) -> bool {
        self.left_meeting.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn set_left_meeting(&self) {
        self.left_meeting.store(true, Ordering::Relaxed);
    }

    /// The attempts at an agreement on the ranks that are left that this rank has finished.
    pub(super) fn agreements(&self) -> u64 {
        self.agreements.load(Ordering::Relaxed)
    }

    pub(super) fn count_agreement(&self) {
        self.agreements.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the ranks that are left have agreed that some ranks are not among them.
    #[inline]
    pub(super) fn has_excluded(&self) -> bool {
        self.has_excluded.load(Ordering::Relaxed)
    }

    /// Where this rank is in collective calls.
    pub(super) fn position(&self) -> Position {
        Position {
            meetings: self.my_arrival_slot().posted.load(Ordering::Relaxed),
            epoch: self.epoch(),
        }
    }

    /// Goes on at the position that the last decision names, without the ranks that it excludes. No
    /// rank that is left is in a collective call, or begins one before all have done this.
    pub(super) fn resume(&self) {
        let Position { meetings, epoch } = self.segment.resumed();
        let slot = self.my_arrival_slot();
        slot.posted.store(meetings, Ordering::Release);
        self.epoch.store(epoch, Ordering::Relaxed);
        self.left_meeting.store(false, Ordering::Relaxed);
        self.has_excluded
            .store(self.is_any_excluded(), Ordering::Relaxed);
    }

    /// Called once on each of several nodes before its ranks [`resume`](Self::resume).
    pub(crate) fn resume_node(&self, meetings: u64) {
        self.segment.reset_posts();
        for index in 0..self.segment.shape().remote {
            let slot = &self.segment.remote_member(index).arrival_slot;
            slot.posted.store(meetings, Ordering::Release);
        }
    }

    pub(super) fn outside(&self) -> Option<&Arc<dyn Outside>> {
        self.outside.get()
    }

    /// The epoch in which fences are counted.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Begins a new epoch; called on all ranks together.
    pub(crate) fn advance_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// How its ranks communicate.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether it is on a communicator, and unusable after MPI is finalized.
    pub(crate) fn needs_mpi(&self) -> bool {
        self.needs_mpi
    }

    /// The heavy fence that reaches all ranks of this node; None unless each of them can run it.
    /// Called after all of them have stored their processes.
    pub(crate) fn heavy_fence(&self) -> Option<Reach> {
        let can_all_fence = (0..self.segment.shape().members).all(|local_rank| {
            let member = self.segment.member(local_rank);
            member.can_fence.load(Ordering::Relaxed) != 0
        });
        can_all_fence.then(|| reach(&self.topology))
    }

    /// Whether this local rank has been found dead before.
    pub(crate) fn is_known_dead(&self, local_rank: usize) -> bool {
        self.dead[local_rank].load(Ordering::Relaxed)
    }

    /// Whether this rank, of any node, is alive as far as is known.
    pub(crate) fn rank_is_alive(&self, rank: usize) -> bool {
        match self.topology.location(rank) {
            RankLocation::Local(local_rank) => self.is_alive(local_rank),
            RankLocation::Remote(index) => {
                self.segment
                    .remote_member(index)
                    .dead
                    .load(Ordering::Acquire)
                    == 0
            }
        }
    }

    /// Why this local rank takes no part in anything any more; none if it may.
    pub(crate) fn local_departure(&self, local_rank: usize) -> Option<Absence> {
        let died = || (!self.is_alive(local_rank)).then_some(Absence::Died);
        self.local_end(local_rank).or_else(died)
    }

    /// How this local rank has ended, if it has.
    pub(crate) fn local_end(&self, local_rank: usize) -> Option<Absence> {
        let member = self.segment.member(local_rank);
        Absence::of_word(member.ended.load(Ordering::Acquire))
    }

    /// Why this rank, of any node, takes no part in anything any more, as far as is known.
    pub(crate) fn departure(&self, rank: usize) -> Option<Absence> {
        match self.topology.location(rank) {
            RankLocation::Local(local_rank) => self.local_departure(local_rank),
            RankLocation::Remote(index) => {
                let member = self.segment.remote_member(index);
                Absence::of_word(member.ended.load(Ordering::Acquire))
                    .or_else(|| (!self.rank_is_alive(rank)).then_some(Absence::Died))
            }
        }
    }

    /// Why this rank, of any node, does not come to what this thread waits for, as far as is known.
    pub(crate) fn absence(&self, rank: usize) -> Option<Absence> {
        let left = || self.has_left_call(rank).then_some(Absence::Left);
        self.departure(rank).or_else(left)
    }

    /// The end of a wait for a rank that takes no part any more.
    pub(crate) fn stop_for(&self, rank: u32) -> Stop {
        // The one that has found out knows more than this rank, if this rank knows nothing.
        Stop::Absent(rank, self.departure(rank as usize).unwrap_or(Absence::Died))
    }

    /// Whether a rank has left a `#[collective]` call that this thread is still in.
    pub(crate) fn has_left_call(&self, rank: usize) -> bool {
        if self.depth() == 0 || *lock(&self.caller) != Some(thread::current().id()) {
            return false;
        }
        let mine = self.my_arrival_slot().posted.load(Ordering::Relaxed);
        let slot = self.arrival_slot(rank);
        // It is at most one rendezvous ahead, so the announcement stays as it is.
        let announcement = &slot.announcements[((mine + 1) % 2) as usize];
        slot.posted.load(Ordering::Acquire) > mine
            && announcement.step.load(Ordering::Relaxed) == EXIT
            && announcement.depth.load(Ordering::Relaxed) < self.depth()
    }

    /// Where this rank, of any node, is in collective calls.
    pub(crate) fn arrival_slot(&self, rank: usize) -> &ArrivalSlot {
        match self.topology.location(rank) {
            RankLocation::Local(local_rank) => &self.segment.member(local_rank).arrival_slot,
            RankLocation::Remote(index) => &self.segment.remote_member(index).arrival_slot,
        }
    }

    /// Where this process is in collective calls.
    pub(crate) fn my_arrival_slot(&self) -> &ArrivalSlot {
        &self.segment.member(self.segment.me()).arrival_slot
    }

    pub(crate) fn process(&self, local_rank: usize) -> Process {
        let member = self.segment.member(local_rank);
        Process {
            id: member.process.load(Ordering::Acquire),
            born: member.born.load(Ordering::Relaxed),
        }
    }
}

/// Which threads belong to ranks of this node.
fn reach(topology: &Topology) -> Reach {
    match topology.local_ranks().len() {
        1 => Reach::Process,
        _ => Reach::Machine,
    }
}

/// The numbers of the members that are this process: its rank and, on a leader, the node's server.
fn members_here(topology: &Topology, me: usize) -> impl Iterator<Item = usize> + use<> {
    let has_server = topology.spans_nodes() && topology.is_leader();
    let server = has_server.then(|| Shape::of(topology).local_rank_of_server());
    iter::once(me).chain(server)
}

/// For the ranks of this node.
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

    fn is_alive(&self, local_rank: usize) -> bool {
        if local_rank == self.segment.me() {
            return true;
        }
        let dead = &self.dead[local_rank];
        if dead.load(Ordering::Relaxed) {
            return false;
        }
        let is_watched = self.watched[local_rank].load(Ordering::Relaxed);
        let alive = match self.liveness.get() {
            _ if is_watched => self.process(local_rank).is_alive(),
            Some(liveness) => liveness.is_held(local_rank),
            None => true,
        };
        dead.store(!alive, Ordering::Relaxed);
        alive
    }

    fn has_ended(&self, local_rank: usize) -> bool {
        self.local_end(local_rank).is_some()
    }

    fn check_hosts(&self) -> Result<(), Stop> {
        (self.host_loss()).map_or(Ok(()), |loss| Err(Stop::HostLost(loss)))
    }
}

/// For a communicator that spans nodes.
impl Domain {
    /// Calls the node's server to the service that `called` belongs to. With `waits`, this rank is
    /// about to wait, and the server has to act at once.
    #[inline]
    pub(crate) fn call_server(&self, called: &AtomicU32, waits: bool) {
        let mut now = waits;
        // An exchange: the server either consumes this call, or sees everything that this rank has
        // done before.
        if called.swap(1, Ordering::SeqCst) == 0 {
            let call = self.segment.call();
            call.word.fetch_add(1, Ordering::SeqCst);
            // The thread takes some time to wake up.
            now |= call.has_sleepers();
            call.wake(ALL);
        }
        if self.topology.is_leader()
            && let Some(outside) = self.outside.get()
        {
            outside.serve(now);
        }
    }

    /// Sends the announcements that all ranks of this node have posted for the rendezvous of this
    /// number to the other nodes.
    pub(crate) fn announce(&self, meeting: u64) {
        if let Some(outside) = self.outside.get() {
            outside.announce(meeting);
        }
    }

    /// The announcements of this node's ranks for the rendezvous of this number.
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
            .filter(|rank| self.takes_part(**rank as usize))
            .map(announcement)
            .collect()
    }

    /// Writes announcements of other nodes' ranks to their arrival slots on this node.
    pub(crate) fn post_remote(
        &self,
        meeting: u64,
        announcements: &[(u32, AnnouncementData<'static>)],
    ) {
        for (rank, announcement) in announcements {
            let arrival_slot = self.arrival_slot(*rank as usize);
            arrival_slot.announcements[(meeting % 2) as usize].set(announcement);
            // An exchange, so that the check for sleepers comes after it.
            arrival_slot.posted.swap(meeting, Ordering::SeqCst);
        }
        self.segment.arrival().notify(ALL);
    }

    /// The host that cannot be reached any more, if there is one.
    pub(crate) fn host_loss(&self) -> Option<HostLoss> {
        let (leader, is_silent) = self.segment.lost()?;
        let node = self.topology.node_of(leader);
        let ranks = 0..self.topology.size() as u32;
        let mut ranks = ranks.filter(|&rank| self.topology.node_of(rank) == node);
        let first = ranks.next().unwrap_or(leader) as i32;
        let (last, count) = ranks.fold((first, 1), |(_, count), rank| (rank as i32, count + 1));
        let ranks = HostRanks { first, last, count };
        Some(HostLoss { ranks, is_silent })
    }

    /// Whether a rank is known to have died, or a host is lost.
    pub(crate) fn has_lost_ranks(&self) -> bool {
        let mut ranks = 0..self.topology.size();
        self.segment.lost().is_some() || ranks.any(|rank| !self.rank_is_alive(rank))
    }

    /// Whether a rank that takes part in collective calls is known to have died.
    pub(crate) fn has_dead_participants(&self) -> bool {
        self.participants().any(|rank| !self.rank_is_alive(rank))
    }

    /// Records that this rank ends: it makes no further call.
    pub(crate) fn note_own_end(&self, panicking: bool) {
        let ended = &self.segment.member(self.segment.me()).ended;
        // Release: whoever reads it sees what this rank did before.
        ended.store(Absence::word(panicking), Ordering::Release);
    }

    /// Records that a rank of another node has ended.
    pub(crate) fn note_end(&self, rank: u32, panicking: bool) {
        if let RankLocation::Remote(index) = self.topology.location(rank as usize) {
            let ended = &self.segment.remote_member(index).ended;
            ended.store(Absence::word(panicking), Ordering::Release);
        }
    }

    /// Records that a rank of another node has died.
    pub(crate) fn note_death(&self, rank: u32) {
        if let RankLocation::Remote(index) = self.topology.location(rank as usize) {
            let dead = &self.segment.remote_member(index).dead;
            dead.store(1, Ordering::Release);
        }
        if self.topology.leader(self.topology.node_of(rank)) == rank {
            self.segment.lose(rank, false);
        }
    }
}

#[cfg(test)]
impl Domain {
    /// A domain of ranks that do not exist.
    pub(crate) fn imagined(topology: Topology) -> Arc<Self> {
        let first = Mapping::private(Segment::first_length(Shape::of(&topology)));
        Arc::new(Self::new(topology, first, Transport::SharedMemory))
    }

    /// Considers this local rank dead.
    pub(crate) fn reclaim(&self, local_rank: usize) {
        self.watched[local_rank].store(true, Ordering::Relaxed);
        self.dead[local_rank].store(true, Ordering::Relaxed);
    }
}
