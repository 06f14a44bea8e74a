//! The state of one communicator on a node: its memory, the liveness of its ranks, and where this
//! rank is in collective calls.

mod calls;
mod lives;
mod threads;

use crate::location;
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::event::ALL;
use crate::shm::liveness::Liveness;
use crate::shm::mapping::Mapping;
use crate::shm::membarrier::{Reach, can_run_heavy_fence};
use crate::shm::process::{self, Process};
use crate::shm::program::Program;
use crate::shm::segment::{Segment, Shape};
use crate::shm::survivors::Position;
use crate::shm::topology::{RankLocation, Topology};
use crate::shm::waiting::Label;
use crate::span::{About, Activity};
use crate::transport::Transport;
use std::iter;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::ThreadId;
use std::time::Duration;
pub(super) use threads::number_of_this_thread;

/// The state of one communicator on a node, as one rank of the node sees it.
pub(crate) struct Domain {
    topology: Topology,
    segment: Segment,
    transport: Transport,
    ranks_are: RanksAre,
    /// The number of the communicator, the same on all its ranks, of all nodes.
    number: OnceLock<u64>,
    /// None without MPI.
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

/// What the ranks of a domain are.
enum RanksAre {
    /// This process alone.
    ThisProcess,
    /// Threads of this process.
    Threads {
        /// One more than the rank that was the first to end by a panic; 0 if none has.
        first_panicked: Arc<std::sync::atomic::AtomicU32>,
        /// [`Surroundings::longest_sleep`](crate::shm::wait::Surroundings::longest_sleep).
        longest_sleep: Duration,
    },
    /// The processes of a communicator.
    Processes,
}

/// When the server has to do what a rank calls it for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Soon: together with what this rank may call it for next.
    Soon,
    /// At once: another rank waits for it.
    AtOnce,
    /// At once: this rank waits for it, and polls from now on.
    Polls,
}

/// Everything outside the memory of a node: MPI and the other nodes.
pub(crate) trait Outside: Send + Sync {
    /// Lets MPI make progress on this rank's operations, and handles messages from other nodes.
    fn progress(&self);

    /// This thread begins to call [`progress`](Self::progress) in a loop, or ends the loop.
    fn poll_actively(&self, _begins: bool) {}

    /// On a leader: this rank calls the server. `thread_sleeps` says whether the progress thread sleeps
    /// and no earlier call has woken it. Returns whether this one has to.
    fn serve(&self, _urgency: Urgency, _thread_sleeps: bool) -> bool {
        false
    }

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
    fn new(
        ranks_are: RanksAre,
        topology: Topology,
        first: Arc<Mapping>,
        transport: Transport,
    ) -> Self {
        let shape = Shape::of(&topology);
        let RankLocation::Local(local_rank) = topology.location(topology.rank() as usize) else {
            unreachable!("this rank is on its own node");
        };
        let segment = Segment::new(first, local_rank, shape);
        let this = Process::this();
        let can_fence = can_run_heavy_fence(reach(&ranks_are, &topology));
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
            ranks_are,
            topology,
            segment,
            transport,
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
        Self::of_this_process(topology, first)
    }

    /// What a span says of what this rank does in a `call` on an object.
    pub(crate) fn about<'a>(
        &self,
        activity: Activity,
        object: Label<'a>,
        call: &'a str,
        place: Option<(&'a str, u32)>,
    ) -> About<'a> {
        About {
            activity,
            kind: object.kind,
            name: object.name,
            object: object.identity,
            communicator: self.number().unwrap_or_default(),
            rank: self.topology.rank(),
            size: self.topology.size(),
            node: self.topology.node(),
            call,
            place: location::in_program(place),
            keeper: None,
            task: None,
        }
    }

    fn of_this_process(topology: Topology, first: Mapping) -> Arc<Self> {
        let (ranks_are, transport) = (RanksAre::ThisProcess, Transport::SharedMemory);
        Arc::new(Self::new(ranks_are, topology, Arc::new(first), transport))
    }

    /// A domain of the ranks of a communicator. Each has mapped the `first` chunk of its node.
    pub(crate) fn shared(topology: Topology, first: Mapping, transport: Transport) -> Self {
        let domain = Self::new(RanksAre::Processes, topology, Arc::new(first), transport);
        let namespace = process::namespace();
        for local_rank in members_here(&domain.topology, domain.segment.me()) {
            let member = domain.segment.member(local_rank);
            member.namespace.store(namespace, Ordering::Relaxed);
        }
        domain.note_program();
        domain
    }

    /// Lets the others find out which place of the program this rank has stored as an address.
    fn note_program(&self) {
        if let Some(program) = Program::this() {
            let member = self.segment.member(self.segment.me());
            member.anchor.store(program.anchor, Ordering::Relaxed);
            member.program.store(program.identity, Ordering::Release);
        }
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

    /// Which rank runs where.
    #[inline]
    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(super) fn outside(&self) -> Option<&Arc<dyn Outside>> {
        self.outside.get()
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
        matches!(self.ranks_are, RanksAre::Processes)
    }

    /// The heavy fence that reaches all ranks of this node; None unless each of them can run it.
    /// Called after all of them have stored their processes.
    pub(crate) fn heavy_fence(&self) -> Option<Reach> {
        let can_all_fence = (0..self.segment.shape().members).all(|local_rank| {
            let member = self.segment.member(local_rank);
            member.can_fence.load(Ordering::Relaxed) != 0
        });
        can_all_fence.then(|| reach(&self.ranks_are, &self.topology))
    }
}

/// Which threads belong to ranks of this node.
fn reach(ranks_are: &RanksAre, topology: &Topology) -> Reach {
    match ranks_are {
        RanksAre::Processes if topology.local_ranks().len() > 1 => Reach::Machine,
        _ => Reach::Process,
    }
}

/// The numbers of the members that are this process: its rank and, on a leader, the node's server.
fn members_here(topology: &Topology, me: usize) -> impl Iterator<Item = usize> + use<> {
    let has_server = topology.spans_nodes() && topology.is_leader();
    let server = has_server.then(|| Shape::of(topology).local_rank_of_server());
    iter::once(me).chain(server)
}

/// For a communicator that spans nodes.
impl Domain {
    /// Calls the node's server to the service that `called` belongs to.
    #[inline]
    pub(crate) fn call_server(&self, called: &AtomicU32, urgency: Urgency) {
        let call = self.segment.call();
        // An exchange: the server either consumes this call, or sees everything that this rank has
        // done before.
        let is_new = called.swap(1, Ordering::SeqCst) == 0;
        if is_new {
            call.word.fetch_add(1, Ordering::SeqCst);
        }
        let wakes = match self.outside.get() {
            // The server is in this process, and the thread takes some time to wake up.
            Some(outside) if self.topology.is_leader() => {
                outside.serve(urgency, is_new && call.has_sleepers())
            }
            _ => is_new,
        };
        if wakes {
            call.wake(ALL);
        }
    }
}

#[cfg(test)]
impl Domain {
    /// A domain of ranks that do not exist.
    pub(crate) fn imagined(topology: Topology) -> Arc<Self> {
        let first = Mapping::private(Segment::first_length(Shape::of(&topology)));
        Self::of_this_process(topology, first)
    }

    /// Considers this local rank dead.
    pub(crate) fn reclaim(&self, local_rank: usize) {
        self.watched[local_rank].store(true, Ordering::Relaxed);
        self.dead[local_rank].store(true, Ordering::Relaxed);
    }
}
