//! Which ranks of a communicator live, and which have ended.

use crate::error::HostRanks;
use crate::shm::absence::{Absence, HostLoss};
use crate::shm::atomic::Ordering;
use crate::shm::domain::{Domain, RanksAre, members_here};
use crate::shm::liveness::Liveness;
use crate::shm::process::Process;
use crate::shm::topology::RankLocation;
use crate::shm::wait::{LONGEST_SLEEP, ROUND_TRIPS, Stop, Surroundings};
use std::time::Duration;

/// How that is found out.
impl Domain {
    /// Finds out which ranks can be watched, and makes this rank's waits visible to them; called
    /// after all of them have stored their processes. Returns whether all can be watched.
    pub(crate) fn watch(&self) -> bool {
        self.segment.record_waits(self.topology.local_ranks(), None);
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

    pub(crate) fn process(&self, local_rank: usize) -> Process {
        let member = self.segment.member(local_rank);
        Process {
            id: member.process.load(Ordering::Acquire),
            born: member.born.load(Ordering::Relaxed),
        }
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

/// What is known.
impl Domain {
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

    /// How this local rank has ended, if it has.
    pub(crate) fn local_end(&self, local_rank: usize) -> Option<Absence> {
        let member = self.segment.member(local_rank);
        Absence::of_word(member.ended.load(Ordering::Acquire))
    }

    /// Why this local rank takes no part in anything any more; none if it may.
    pub(crate) fn local_departure(&self, local_rank: usize) -> Option<Absence> {
        let died = || (!self.is_alive(local_rank)).then_some(Absence::Died);
        self.local_end(local_rank).or_else(died)
    }

    /// Why this rank, of any node, takes no part in anything any more, as far as is known.
    pub(crate) fn departure(&self, rank: usize) -> Option<Absence> {
        match self.topology.location(rank) {
            RankLocation::Local(local_rank) => self.local_departure(local_rank),
            RankLocation::Remote(index) => {
                let member = self.segment.remote_member(index);
                // The others may know of a death before this node does.
                let has_died = || !self.rank_is_alive(rank) || !self.takes_part(rank);
                Absence::of_word(member.ended.load(Ordering::Acquire))
                    .or_else(|| has_died().then_some(Absence::Died))
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

    /// Whether a rank is known to have died, or a host is lost.
    pub(crate) fn has_lost_ranks(&self) -> bool {
        let mut ranks = 0..self.topology.size();
        self.segment.lost().is_some() || ranks.any(|rank| !self.rank_is_alive(rank))
    }

    /// Whether a rank that takes part in collective calls is known to have died.
    pub(crate) fn has_dead_participants(&self) -> bool {
        self.participants().any(|rank| !self.rank_is_alive(rank))
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

    fn longest_sleep(&self) -> Duration {
        match self.ranks_are {
            RanksAre::Threads { longest_sleep, .. } => longest_sleep,
            RanksAre::ThisProcess | RanksAre::Processes => LONGEST_SLEEP,
        }
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
