//! What mpisync keeps for one communicator: a communicator of its own, the segment, and what its ranks agree on.

use super::barrier;
use super::mapping::Mapping;
#[cfg(feature = "mpi")]
use super::mpi;
use super::process::Process;
use super::segment::Segment;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What mpisync keeps for one communicator, as this rank sees it.
///
/// It hangs on the user's communicator as an attribute, so that all controllers of a communicator share it.
pub(crate) struct Domain {
    segment: Segment,
    /// A duplicate of the user's communicator, so that messages of mpisync and of the program never meet; none for
    /// a domain of one process that needs no MPI.
    #[cfg(feature = "mpi")]
    pub(super) comm: Option<mpi::OwnComm>,
    /// The ranks that were found dead, so that each is looked up once.
    dead: Vec<AtomicBool>,
    /// Whether the processes of the ranks can be looked up at all, see [`Process::is_alive`].
    watched: Vec<AtomicBool>,
    /// How many `#[collective]` calls this rank is in at the moment.
    depth: AtomicU32,
    /// Changes on all ranks together whenever a collective call failed; fences are counted anew from there.
    epoch: AtomicU32,
}

impl Domain {
    fn new(first: Mapping, me: usize, ranks: usize) -> Self {
        let segment = Segment::new(first, me, ranks);
        let member = segment.member(me);
        let this = Process::this();
        let heeds_fences = barrier::register();
        member
            .heeds_fences
            .store(heeds_fences.into(), Ordering::Relaxed);
        member.born.store(this.born, Ordering::Relaxed);
        member.process.store(this.id, Ordering::Release);
        Domain {
            segment,
            #[cfg(feature = "mpi")]
            comm: None,
            dead: (0..ranks).map(|_| AtomicBool::new(false)).collect(),
            watched: (0..ranks).map(|_| AtomicBool::new(false)).collect(),
            depth: AtomicU32::new(0),
            epoch: AtomicU32::new(0),
        }
    }

    /// A domain of this process alone.
    pub(crate) fn local() -> Arc<Self> {
        Arc::new(Self::new(Mapping::private(Segment::first_length(1)), 0, 1))
    }

    /// A domain on `comm`, whose ranks have all mapped `first`.
    #[cfg(feature = "mpi")]
    pub(super) fn on(comm: mpi::OwnComm, first: Mapping) -> Self {
        let (rank, size) = (comm.rank() as usize, comm.size() as usize);
        let mut domain = Self::new(first, rank, size);
        domain.comm = Some(comm);
        domain
    }

    /// Looks which ranks can be watched; after all of them have stored who they are.
    #[cfg(feature = "mpi")]
    pub(super) fn watch(&self) {
        for (rank, watched) in self.watched.iter().enumerate() {
            watched.store(self.process(rank).is_visible(), Ordering::Relaxed);
        }
    }

    /// In how many `#[collective]` calls this rank is.
    pub(crate) fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    pub(crate) fn set_depth(&self, depth: u32) {
        self.depth.store(depth, Ordering::Relaxed);
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

    /// Lets MPI make progress on what this rank has under way.
    pub(crate) fn progress(&self) {
        #[cfg(feature = "mpi")]
        if let Some(comm) = &self.comm {
            comm.progress();
        }
    }

    /// Whether it is on a communicator, and of no use any more when MPI ends.
    pub(crate) fn needs_mpi(&self) -> bool {
        #[cfg(feature = "mpi")]
        return self.comm.is_some();
        #[cfg(not(feature = "mpi"))]
        return false;
    }

    /// Whether the rank of this index on the node still runs.
    pub(crate) fn is_alive(&self, rank: usize) -> bool {
        if rank == self.segment.me() || !self.watched[rank].load(Ordering::Relaxed) {
            return true;
        }
        let dead = &self.dead[rank];
        if dead.load(Ordering::Relaxed) {
            return false;
        }
        let alive = self.process(rank).is_alive();
        dead.store(!alive, Ordering::Relaxed);
        alive
    }

    /// Whether the processes of all ranks have registered for heavy fences; after all of them have stored who they are.
    pub(crate) fn heeds_fences(&self) -> bool {
        (0..self.segment.ranks()).all(|rank| {
            let member = self.segment.member(rank);
            member.heeds_fences.load(Ordering::Relaxed) != 0
        })
    }

    /// Whether the rank of this index has been found dead before.
    pub(crate) fn is_known_dead(&self, rank: usize) -> bool {
        self.dead[rank].load(Ordering::Relaxed)
    }

    fn process(&self, rank: usize) -> Process {
        let member = self.segment.member(rank);
        Process {
            id: member.process.load(Ordering::Acquire),
            born: member.born.load(Ordering::Relaxed),
        }
    }
}

#[cfg(feature = "mpi")]
impl Drop for Domain {
    fn drop(&mut self) {
        if let Some(comm) = self.comm.take() {
            comm.retire();
        }
    }
}
