//! A reusable barrier.
//!
//! Within a node, each rank counts its arrival in one word, and the last rank to arrive acts for
//! the node. Between nodes this is the dissemination barrier of Hensgen, Finkel and Manber, "Two
//! Algorithms for Barrier Synchronization", International Journal of Parallel Programming 17, 1988:
//! in each round, a node that has received the signal of the round before signals the node at twice
//! the distance of that round. After ⌈log₂ n⌉ rounds, each of the `n` nodes has heard of all
//! others, directly or indirectly. The rank or server that completes a round sends the signal of
//! the next round.

use crate::shm::absence::Absence;
use crate::shm::atomic::full_fence;
use crate::shm::event::{ALL, Event};
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::Shareable;
use crate::shm::topology::Topology;
use crate::shm::view::View;
use crate::shm::wait::{Deadline, Stop, wait};
use crate::sync::barrier::layout::{Arrival, BarrierWords};
use std::sync::atomic::Ordering;

// SAFETY: only atomics, for all of which zero is valid.
unsafe impl Shareable for BarrierWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<Arrival> {}

/// The words of a barrier on this node.
pub(crate) struct Dissemination(View<BarrierWords, Arrival>);

/// A signal to another node: all ranks that the sender has heard of in earlier rounds have arrived
/// at the phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Signal {
    pub(crate) to: u32,
    pub(crate) round: usize,
    pub(crate) phase: u64,
}

/// The layout of a barrier on each node.
pub(crate) struct BarrierLayout;

impl Layout for BarrierLayout {
    fn length(&self, topology: &Topology) -> usize {
        View::<BarrierWords, Arrival>::length(topology.local_ranks().len())
    }
}

impl Dissemination {
    /// The barrier in that part of an object's memory.
    pub(crate) fn new(part: Part<'_>) -> Self {
        Dissemination(View::new(part, part.block.local_size()))
    }

    /// The number of completed phases.
    pub(crate) fn complete(&self) -> u64 {
        self.0.words().complete.0.load(Ordering::SeqCst)
    }

    /// This rank arrives at `phase`. Phases are numbered from 1. `send` sends a signal.
    pub(crate) fn arrive(&self, phase: u64, send: impl FnMut(Signal)) {
        let arrivals = &self.0.words().arrivals.0;
        // The last rank to arrive sees what the others did before.
        let before = arrivals.fetch_add(1, Ordering::SeqCst);
        // Stored after the addition: a rank that dies in between counts as not arrived.
        let mine = &self.0.slot(self.0.me()).count;
        mine.store(phase, Ordering::Release);
        if self.is_short() {
            // Of two ranks that arrive last, at least one sees that the other has arrived.
            full_fence();
            self.go_on(send);
        } else if before + 1 == phase * self.0.slots() as u64 {
            self.go_on(send);
        }
    }

    /// Whether `phase` is complete. `send` sends a signal.
    pub(crate) fn is_complete(&self, phase: u64, send: impl FnMut(Signal)) -> bool {
        if self.complete() < phase && self.is_short() {
            // All that are left may have arrived before they agreed on that.
            self.go_on(send);
        }
        self.complete() >= phase
    }

    /// Whether ranks of this node take no part any more, whose arrivals must not be counted.
    fn is_short(&self) -> bool {
        self.participating() < self.0.slots()
    }

    /// The number of this node's ranks that take part.
    pub(crate) fn participating(&self) -> usize {
        self.0.domain().local_participant_count()
    }

    /// The number of phases that all ranks of this node have arrived at.
    fn arrived(&self) -> u64 {
        if !self.is_short() {
            return self.0.words().arrivals.0.load(Ordering::SeqCst) / self.0.slots() as u64;
        }
        let participants = self.0.domain().local_participants();
        let counts = participants.map(|(slot, _)| self.count(slot));
        counts.min().unwrap_or(0)
    }

    /// The number of phases that the rank of this slot has arrived at.
    fn count(&self, slot: usize) -> u64 {
        self.0.slot(slot).count.load(Ordering::Acquire)
    }

    /// Waits until `phase` is complete. `send` sends signals in place of a rank that died before it
    /// could.
    pub(crate) fn wait_for(
        &self,
        phase: u64,
        deadline: Deadline<'_>,
        send: impl Fn(Signal),
    ) -> Result<(), Stop> {
        let is_complete = || (self.complete() >= phase).then_some(());
        wait(&self.0, self.futex_word(), deadline, is_complete, || {
            self.go_on(&send);
            self.inspect(phase)
        })
    }

    /// Whether the rank of this slot has arrived at `phase`.
    pub(crate) fn has_arrived(&self, slot: usize, phase: u64) -> bool {
        self.count(slot) >= phase
    }

    /// The ranks of this node that have not arrived at `phase`.
    pub(crate) fn missing(&self, phase: u64) -> Vec<u32> {
        let participants = self.0.domain().local_participants();
        let missing = participants.filter(|&(slot, _)| !self.has_arrived(slot, phase));
        missing.map(|(_, rank)| rank).collect()
    }

    /// Called by the server: a signal of another node has arrived.
    pub(crate) fn receive(&self, round: usize, phase: u64, send: impl FnMut(Signal)) {
        self.0.words().heard[round].fetch_max(phase, Ordering::SeqCst);
        self.go_on(send);
    }

    /// Sends all signals that are due, and wakes the ranks of a phase that is now complete. Several
    /// callers may do so at the same time; each signal is sent by one of them.
    pub(crate) fn go_on(&self, mut send: impl FnMut(Signal)) {
        let words = self.0.words();
        let rounds = rounds(self.0.domain().topology()) as u64;
        let heard = |round: u64| match round.checked_sub(1) {
            None => self.arrived(),
            Some(round) => words.heard[round as usize].load(Ordering::SeqCst),
        };
        // The next signal that is due: its number, round and phase.
        let next = || {
            let sent = words.sent.load(Ordering::SeqCst);
            let (phase, round) = (sent.checked_div(rounds)? + 1, sent % rounds);
            (heard(round) >= phase).then_some((sent, round, phase))
        };
        while let Some((sent, round, phase)) = next() {
            let (after, order) = (sent + 1, (Ordering::SeqCst, Ordering::Relaxed));
            let taken = words.sent.compare_exchange(sent, after, order.0, order.1);
            if taken.is_ok() {
                send(self.signal(round, phase));
            }
        }
        // A phase is complete on this node once it has sent all signals of the phase, and received
        // that of the last round.
        let all_sent = words.sent.load(Ordering::SeqCst).checked_div(rounds);
        let complete = heard(rounds).min(all_sent.unwrap_or(u64::MAX));
        if words.complete.0.fetch_max(complete, Ordering::SeqCst) < complete {
            self.futex_word().notify(ALL);
        }
    }

    /// Called by the server: sends the last signal of each round again.
    pub(crate) fn resend(&self, mut send: impl FnMut(Signal)) {
        let rounds = u64::from(rounds(self.0.domain().topology()));
        let sent = self.0.words().sent.load(Ordering::SeqCst);
        for round in 0..rounds {
            let latest = (sent + rounds - 1 - round) / rounds;
            if latest > 0 {
                send(self.signal(round, latest));
            }
        }
    }

    fn signal(&self, round: u64, phase: u64) -> Signal {
        let topology = self.0.domain().topology();
        let (node, nodes) = (u64::from(topology.node()), u64::from(topology.nodes()));
        Signal {
            to: ((node + (1 << round)) % nodes) as u32,
            round: round as usize,
            phase,
        }
    }

    fn futex_word(&self) -> Event<'_> {
        self.0.words().futex_word.0.event()
    }
}

/// The number of rounds in a phase.
fn rounds(topology: &Topology) -> u32 {
    topology.nodes().next_power_of_two().trailing_zeros()
}

/// # Dead ranks
impl Dissemination {
    /// Fails if a rank will not arrive at `phase`.
    fn inspect(&self, phase: u64) -> Result<(), Stop> {
        let domain = self.0.domain();
        let topology = domain.topology();
        let takes_part = |rank: u32| domain.takes_part(rank as usize);
        let local = self
            .lost_locally(phase)
            .map(|(slot, _)| topology.local_ranks()[slot])
            .find(|&rank| takes_part(rank));
        let BarrierWords {
            lost, lost_after, ..
        } = self.0.words();
        let remote = lost.load(Ordering::Acquire).checked_sub(1);
        let is_before = || lost_after.load(Ordering::Relaxed) < phase;
        let remote = remote.filter(|&rank| is_before() && takes_part(rank));
        let lost = local.or(remote);
        let left = || {
            self.missing(phase).into_iter().find_map(|rank| {
                let left = domain.has_left_call(rank as usize);
                let absent = domain.absentee(rank as usize, left.then_some(Absence::Left));
                absent.map(|(rank, absence)| Stop::Absent(rank, absence))
            })
        };
        let stop = lost.map(|rank| domain.stop_for(rank)).or_else(left);
        // A rank that died or ended after it arrived is not missing.
        stop.filter(|_| self.complete() < phase).map_or(Ok(()), Err)
    }

    /// The slots of this node's ranks that died or ended before they arrived at `phase`, and how
    /// many phases each had arrived at.
    pub(crate) fn lost_locally(&self, phase: u64) -> impl Iterator<Item = (usize, u64)> {
        (0..self.0.slots())
            .filter(move |&slot| {
                self.count(slot) < phase && self.0.domain().local_departure(slot).is_some()
            })
            // Read again: the rank may have arrived before it died or ended.
            .map(move |slot| (slot, self.count(slot)))
            .filter(move |&(_, after)| after < phase)
    }

    /// Called by the server: a rank of another node died after it had arrived at `after` phases.
    pub(crate) fn lose(&self, rank: u32, after: u64) {
        if !self.0.domain().takes_part(rank as usize) {
            return;
        }
        let words = self.0.words();
        let known = words.lost.load(Ordering::Relaxed).checked_sub(1);
        let is_first = known.is_none_or(|known| !self.0.domain().takes_part(known as usize));
        if is_first || after < words.lost_after.load(Ordering::Relaxed) {
            words.lost_after.store(after, Ordering::Relaxed);
            words.lost.store(rank + 1, Ordering::Release);
        }
    }
}
