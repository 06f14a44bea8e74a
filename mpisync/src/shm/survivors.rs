//! The agreement of the ranks of a communicator that are left on who they are.
//!
//! It goes in attempts of two steps. In the first step each rank posts that it has come. When every
//! rank has come, has died or has ended, one rank decides: it marks those that died or ended. On one
//! node that is the lowest rank left, over several nodes the lowest leader. In the second step each
//! rank that is left posts that it knows the decision. When all have, the agreement is there. If one
//! of them has died before it could, all others see that, and begin the next attempt.
//!
//! The ranks may have gone different ways in the collective call in which the others died. So each
//! posts its [`Position`] in collective calls with the first step, the decision names one beyond all
//! of them, and each takes it before it posts the second step. From then on, collective calls of the
//! communicator do without the excluded ranks.

use crate::shm::absence::{Absence, HostLoss};
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::domain::Domain;
use crate::shm::event::ALL;
use crate::shm::topology::RankLocation;
use crate::shm::wait::{Deadline, Stop, wait_for_answer};
use crate::shm::waiting::{Awaited, Call, Described, Label};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::time::{Duration, Instant};

/// What is known of a rank in the agreement. All zero: it has never taken part.
#[repr(C)]
pub(crate) struct SurvivorWords {
    /// The last step that the rank has posted: twice the number of the attempt, plus one in the second
    /// step. It only grows.
    step: AtomicU64,
    /// 1 if the ranks that are left have agreed that it is not among them.
    excluded: AtomicU32,
    /// Its position at that step.
    epoch: AtomicU32,
    meetings: AtomicU64,
}

/// Where a rank is in the collective calls of a communicator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The number of its last rendezvous.
    pub(crate) meetings: u64,
    /// The epoch in which it counts fences.
    pub(crate) epoch: u32,
}

/// Why there is no agreement.
#[derive(Debug)]
pub(crate) enum Disagreement {
    /// These ranks have not come in time.
    Timeout(Vec<u32>),
    /// A leader, without which the nodes cannot agree, takes no part any more.
    LeaderLost(u32, Absence),
    /// A host does not answer, or its only rank has died.
    HostLost(HostLoss),
}

/// By how much the position of a decision is beyond those that it knows: a rank whose earlier call
/// has run into its limit may have gone on since.
const GAP: u32 = 1_000;

/// What the agreement is called in reports.
pub(crate) const LABEL: Label<'static> = Label {
    kind: "communicator",
    name: "survivors",
    identity: 0,
};

/// How often a rank looks for those that died.
const INSPECTION: Duration = Duration::from_millis(1);

/// The ranks that are left. Called by all of them.
pub(crate) fn agree(
    domain: &Domain,
    limit: Option<Duration>,
    location: &'static Location<'static>,
) -> Result<Vec<u32>, Disagreement> {
    loop {
        let step = 2 * (domain.agreements() + 1);
        let agreed = attempt(domain, step, limit, location)?;
        domain.count_agreement();
        if agreed {
            let left = domain.ranks().filter(|rank| !domain.is_excluded(*rank));
            return Ok(left.collect());
        }
    }
}

/// One attempt, whose first step is `step`. Returns whether all ranks that are left know the
/// decision.
fn attempt(
    domain: &Domain,
    step: u64,
    limit: Option<Duration>,
    location: &'static Location<'static>,
) -> Result<bool, Disagreement> {
    let wait = |step, check: &dyn Fn() -> Option<Result<bool, Disagreement>>| {
        let missing = || domain.missing_survivors(step);
        let awaited = || Awaited::all(missing(), "has not come");
        let subject = Described::new(domain, LABEL, awaited);
        let call = Call::new(&subject, "survivors", location).without_failing();
        let waited = wait_for_answer(domain, Deadline::within(limit).of(call), check);
        waited.unwrap_or_else(|stop| {
            Err(match (stop, domain.lost_leader()) {
                (Stop::Timeout, _) => Disagreement::Timeout(missing()),
                (_, Some((leader, absence))) => Disagreement::LeaderLost(leader, absence),
                (stop, None) => Disagreement::HostLost(stop.expect_host_loss()),
            })
        })
    };
    // The first look is at once.
    let inspected: Cell<Option<Instant>> = Cell::new(None);
    let is_time = || {
        let is_time = inspected.get().is_none_or(|at| at.elapsed() >= INSPECTION);
        if is_time {
            inspected.set(Some(Instant::now()));
        }
        is_time
    };

    domain.post_own_step(step);
    wait(step, &|| {
        if domain.is_decided(step) {
            return Some(Ok(true));
        }
        if !is_time() {
            return None;
        }
        if let Some((leader, absence)) = domain.lost_leader() {
            return Some(Err(Disagreement::LeaderLost(leader, absence)));
        }
        // In this order: who decides before this rank has died, and can decide no more.
        if domain.decides() && !domain.is_decided(step) && domain.missing_survivors(step).is_empty()
        {
            domain.decide(step);
        }
        None
    })?;

    domain.resume();
    let step = step + 1;
    domain.post_own_step(step);
    wait(step, &|| {
        // Each look reads the state of all processes that have not posted the step.
        if !is_time() {
            return None;
        }
        let is_any_missing = !domain.missing_survivors(step).is_empty();
        // In this order: a rank that dies between the two is missing in the first one.
        let has_any_left = domain.left_without(step).is_some();
        if !is_any_missing && !has_any_left {
            return Some(Ok(true));
        }
        if let Some((leader, absence)) = domain.lost_leader() {
            return Some(Err(Disagreement::LeaderLost(leader, absence)));
        }
        has_any_left.then_some(Ok(false))
    })
}

impl Domain {
    fn survivor_words(&self, rank: u32) -> &SurvivorWords {
        match self.topology().location(rank as usize) {
            RankLocation::Local(local_rank) => &self.segment().member(local_rank).survivor,
            RankLocation::Remote(index) => &self.segment().remote_member(index).survivor,
        }
    }

    fn ranks(&self) -> impl Iterator<Item = u32> {
        0..self.topology().size() as u32
    }

    pub(super) fn is_any_excluded(&self) -> bool {
        self.ranks().any(|rank| self.is_excluded(rank))
    }

    fn is_excluded(&self, rank: u32) -> bool {
        self.survivor_words(rank).excluded.load(Ordering::Acquire) != 0
    }

    /// Whether this rank, of any node, takes part in collective calls: the ranks that are left have
    /// not agreed that it is not among them.
    #[inline]
    pub(crate) fn takes_part(&self, rank: usize) -> bool {
        !self.has_excluded() || !self.is_excluded(rank as u32)
    }

    /// The rank because of which this rank, of any node, does not come to what this one waits for: that
    /// rank `itself`, if it has an absence, or one that is absent while it waits in the agreement for
    /// this one to come, and does nothing else.
    pub(crate) fn absentee(&self, rank: usize, itself: Option<Absence>) -> Option<(u32, Absence)> {
        let step = 2 * (self.agreements() + 1);
        match itself {
            Some(absence) => Some((rank as u32, absence)),
            None if self.has_posted(rank as u32, step) => self.absent_participant(),
            None => None,
        }
    }

    /// The lowest rank that takes part in collective calls although it has died or ended, as far as is
    /// known.
    pub(crate) fn absent_participant(&self) -> Option<(u32, Absence)> {
        let absent = |rank| Some((rank as u32, self.departure(rank)?));
        self.participants().find_map(absent)
    }

    /// The ranks that take part in collective calls, in ascending order.
    pub(crate) fn participants(&self) -> impl Iterator<Item = usize> {
        (0..self.topology().size()).filter(|&rank| self.takes_part(rank))
    }

    /// The ranks of this node that take part in collective calls, each behind its local rank.
    pub(crate) fn local_participants(&self) -> impl Iterator<Item = (usize, u32)> {
        let here = self.topology().local_ranks().iter().copied().enumerate();
        here.filter(|&(_, rank)| self.takes_part(rank as usize))
    }

    /// The number of these ranks.
    pub(crate) fn local_participant_count(&self) -> usize {
        if self.has_excluded() {
            self.local_participants().count()
        } else {
            self.topology().local_ranks().len()
        }
    }

    fn has_posted(&self, rank: u32, step: u64) -> bool {
        self.survivor_words(rank).step.load(Ordering::Acquire) >= step
    }

    /// The ranks that are not excluded, may come, and have not posted this step.
    fn missing_survivors(&self, step: u64) -> Vec<u32> {
        let is_missing = |rank: &u32| {
            !self.has_posted(*rank, step)
                && !self.is_excluded(*rank)
                && self.departure(*rank as usize).is_none()
        };
        self.ranks().filter(is_missing).collect()
    }

    /// A rank that is not excluded and has died or ended without posting this step.
    fn left_without(&self, step: u64) -> Option<u32> {
        // In this order: it may have posted the step before it died.
        self.ranks().find(|rank| {
            !self.is_excluded(*rank)
                && self.departure(*rank as usize).is_some()
                && !self.has_posted(*rank, step)
        })
    }

    /// Whether this rank is the one that decides.
    fn decides(&self) -> bool {
        let topology = self.topology();
        let is_left = |rank: &u32| self.departure(*rank as usize).is_none();
        let first = if topology.spans_nodes() {
            let mut leaders = (0..topology.nodes()).map(|node| topology.leader(node));
            leaders.find(is_left)
        } else {
            self.ranks().find(is_left)
        };
        first == Some(topology.rank())
    }

    /// The leader of a node that takes no part any more, if there are several nodes and others of its
    /// node are left.
    fn lost_leader(&self) -> Option<(u32, Absence)> {
        let topology = self.topology();
        if !topology.spans_nodes() {
            return None;
        }
        let is_left = |rank: &u32| self.departure(*rank as usize).is_none();
        // A node without ranks takes no part.
        let nodes: BTreeSet<u32> = (self.ranks().filter(is_left))
            .map(|rank| topology.node_of(rank))
            .collect();
        let mut leaders = nodes.into_iter().map(|node| topology.leader(node));
        leaders.find_map(|leader| Some((leader, self.departure(leader as usize)?)))
    }

    fn is_decided(&self, step: u64) -> bool {
        self.segment().decided().load(Ordering::Acquire) >= step
    }

    fn decide(&self, step: u64) {
        let is_lost = |rank: &u32| self.departure(*rank as usize).is_some();
        let (excluded, left): (Vec<u32>, Vec<u32>) = self.ranks().partition(is_lost);
        let positions = || left.iter().map(|&rank| self.survivor_words(rank));
        let meetings = positions().map(|words| words.meetings.load(Ordering::Relaxed));
        let epochs = positions().map(|words| words.epoch.load(Ordering::Relaxed));
        let resumed = Position {
            meetings: u64::from(GAP) + meetings.max().unwrap_or(0),
            epoch: GAP + epochs.max().unwrap_or(0),
        };
        self.post_decision(step, &excluded, resumed);
        if let Some(outside) = self.outside() {
            outside.send_decision(step, excluded, resumed);
        }
    }

    fn post_own_step(&self, step: u64) {
        let position = self.position();
        self.post_survivor_step(self.topology().rank(), step, position);
        if let Some(outside) = self.outside() {
            outside.send_survivor_step(step, position);
        }
    }

    /// Notes that a rank has posted a step of the agreement at this position.
    pub(crate) fn post_survivor_step(&self, rank: u32, step: u64, position: Position) {
        let words = self.survivor_words(rank);
        words.meetings.store(position.meetings, Ordering::Relaxed);
        words.epoch.store(position.epoch, Ordering::Relaxed);
        // Release: who reads the step also reads the position.
        words.step.fetch_max(step, Ordering::AcqRel);
    }

    /// Notes the decision of an attempt.
    pub(crate) fn post_decision(&self, step: u64, excluded: &[u32], resumed: Position) {
        for rank in excluded {
            let word = &self.survivor_words(*rank).excluded;
            word.store(1, Ordering::Release);
        }
        self.segment().set_resumed(resumed);
        // Release: a rank that reads the decision also reads the rest.
        self.segment().decided().fetch_max(step, Ordering::AcqRel);
        self.segment().arrival().notify(ALL);
    }
}
