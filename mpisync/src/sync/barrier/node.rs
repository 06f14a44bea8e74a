//! A barrier that all ranks pass together, time and again.
//!
//! On a node, each rank counts its arrival in one word; the last one to arrive acts for the node.
//! Between nodes it is the dissemination barrier of Hensgen, Finkel and Manber, "Two Algorithms for
//! Barrier Synchronization", International Journal of Parallel Programming 17, 1988: in each round
//! a node signals the node that is twice as far away as in the round before, once it has received
//! the signal of that round itself. After as many rounds as the number of nodes has bits, every
//! node has heard of all. The rank or the server that completes a round sends the signal of the
//! next.

use crate::shm::event::{ALL, Event};
use crate::shm::layout::{Layout, Part};
use crate::shm::line::Line;
use crate::shm::mapping::Shareable;
use crate::shm::topology::Topology;
use crate::shm::view::View;
use crate::shm::wait::{Deadline, Stop, Surroundings, wait};
use crate::sync::barrier::layout::{Arrival, BarrierWords};
use std::sync::atomic::Ordering;

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for BarrierWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<Arrival> {}

/// The words of a barrier on this node.
pub(crate) struct Dissemination(View<BarrierWords, Arrival>);

/// What a node sends to another one: all ranks it has heard of in the rounds before have arrived so
/// often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Signal {
    pub(crate) to: u32,
    pub(crate) round: usize,
    pub(crate) time: u64,
}

/// The layout of a barrier, on each node.
pub(crate) struct BarrierLayout;

impl Layout for BarrierLayout {
    fn length(&self, topology: &Topology) -> usize {
        View::<BarrierWords, Arrival>::length(topology.local_ranks().len())
    }
}

impl Dissemination {
    /// Those in that part of an object's memory.
    pub(crate) fn new(part: Part<'_>) -> Self {
        Dissemination(View::new(part, part.block.local_size()))
    }

    /// How often all have come.
    pub(crate) fn complete(&self) -> u64 {
        self.0.words().complete.0.load(Ordering::SeqCst)
    }

    /// This rank arrives, for the time of this number, counted from 1. `tell` sends a signal.
    pub(crate) fn arrive(&self, time: u64, tell: impl FnMut(Signal)) {
        let arrivals = &self.0.words().arrivals.0;
        // Who comes last has seen what the others did.
        let before = arrivals.fetch_add(1, Ordering::SeqCst);
        // After that: who dies in between counts as one that has not come.
        let mine = &self.0.slot(self.0.me()).count;
        mine.store(time, Ordering::Release);
        if before + 1 == time * self.0.slots() as u64 {
            self.go_on(tell);
        }
    }

    /// Waits until all have come for that time. `tell` sends signals in place of a rank that died
    /// before it could.
    pub(crate) fn wait_for(
        &self,
        time: u64,
        deadline: Deadline<'_>,
        tell: impl Fn(Signal),
    ) -> Result<(), Stop> {
        let all_here = || (self.complete() >= time).then_some(());
        wait(&self.0, self.futex_word(), deadline, all_here, || {
            self.go_on(&tell);
            self.inspect(time)
        })
    }

    /// The ranks of this node that have not come for that time.
    pub(crate) fn missing(&self, time: u64) -> Vec<u32> {
        let here = self.0.domain().topology().local_ranks();
        let has_come = |slot| self.0.slot(slot).count.load(Ordering::Acquire) >= time;
        let missing = here.iter().enumerate();
        missing
            .filter(|&(slot, _)| !has_come(slot))
            .map(|(_, &rank)| rank)
            .collect()
    }

    /// As the server: a signal of another node has arrived.
    pub(crate) fn receive(&self, round: usize, time: u64, tell: impl FnMut(Signal)) {
        self.0.words().heard[round].fetch_max(time, Ordering::SeqCst);
        self.go_on(tell);
    }

    /// Sends what can be sent now, and lets those go on who wait for what is known by now. Several
    /// may do so at a time: each message is sent by one of them.
    pub(crate) fn go_on(&self, mut tell: impl FnMut(Signal)) {
        let words = self.0.words();
        let rounds = rounds(self.0.domain().topology()) as u64;
        let heard = |round: u64| match round.checked_sub(1) {
            None => words.arrivals.0.load(Ordering::SeqCst) / self.0.slots() as u64,
            Some(round) => words.heard[round as usize].load(Ordering::SeqCst),
        };
        // The next message, if there are any and it can be sent: which, in which round, and for which time.
        let next = || {
            let sent = words.sent.load(Ordering::SeqCst);
            let (time, round) = (sent.checked_div(rounds)? + 1, sent % rounds);
            (heard(round) >= time).then_some((sent, round, time))
        };
        while let Some((sent, round, time)) = next() {
            let (after, order) = (sent + 1, (Ordering::SeqCst, Ordering::Relaxed));
            let taken = words.sent.compare_exchange(sent, after, order.0, order.1);
            if taken.is_ok() {
                tell(self.signal(round, time));
            }
        }
        // This node has told all it has to tell, and has heard the last of what there is to hear.
        let told = words.sent.load(Ordering::SeqCst).checked_div(rounds);
        let complete = heard(rounds).min(told.unwrap_or(u64::MAX));
        if words.complete.0.fetch_max(complete, Ordering::SeqCst) < complete {
            self.futex_word().notify(ALL);
        }
    }

    /// As the server: sends once more what was sent last in each round.
    pub(crate) fn tell_again(&self, mut tell: impl FnMut(Signal)) {
        let rounds = u64::from(rounds(self.0.domain().topology()));
        let sent = self.0.words().sent.load(Ordering::SeqCst);
        for round in 0..rounds {
            let times = (sent + rounds - 1 - round) / rounds;
            if times > 0 {
                tell(self.signal(round, times));
            }
        }
    }

    fn signal(&self, round: u64, time: u64) -> Signal {
        let topology = self.0.domain().topology();
        let (node, nodes) = (u64::from(topology.node()), u64::from(topology.nodes()));
        Signal {
            to: ((node + (1 << round)) % nodes) as u32,
            round: round as usize,
            time,
        }
    }

    fn futex_word(&self) -> Event<'_> {
        self.0.words().futex_word.0.event()
    }
}

/// How many rounds of messages there are.
fn rounds(topology: &Topology) -> u32 {
    topology.nodes().next_power_of_two().trailing_zeros()
}

/// About ranks that died.
impl Dissemination {
    /// Whether all may still come for that time.
    fn inspect(&self, time: u64) -> Result<(), Stop> {
        let topology = self.0.domain().topology();
        let here = self.lost_locally(time).next();
        let BarrierWords {
            lost, lost_after, ..
        } = self.0.words();
        let far = lost.load(Ordering::Acquire).checked_sub(1);
        let far = far.filter(|_| lost_after.load(Ordering::Relaxed) < time);
        let lost = here.map(|(slot, _)| topology.local_ranks()[slot]).or(far);
        // One that died after it came is not missing.
        match lost {
            Some(rank) if self.complete() < time => Err(Stop::RankDied(rank)),
            _ => Ok(()),
        }
    }

    /// The slots of this node's ranks that died before they came for that time, and how often each
    /// had come.
    pub(crate) fn lost_locally(&self, time: u64) -> impl Iterator<Item = (usize, u64)> {
        let count = |slot: usize| self.0.slot(slot).count.load(Ordering::Acquire);
        (0..self.0.slots())
            .filter(move |&slot| count(slot) < time && !self.0.is_alive(slot))
            // Once more: it may have come before it died.
            .map(move |slot| (slot, count(slot)))
            .filter(move |&(_, after)| after < time)
    }

    /// As the server: a rank of another node died when it had come so often.
    pub(crate) fn lose(&self, rank: u32, after: u64) {
        let words = self.0.words();
        let is_first = words.lost.load(Ordering::Relaxed) == 0;
        if is_first || after < words.lost_after.load(Ordering::Relaxed) {
            words.lost_after.store(after, Ordering::Relaxed);
            words.lost.store(rank + 1, Ordering::Release);
        }
    }
}
