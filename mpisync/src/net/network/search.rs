//! The search for deadlocks over several nodes, see [`waiting::hosts`](crate::shm::waiting::hosts).
//!
//! A leader on whose node a rank has waited for a second suspects a deadlock, and again after 2, 4, …
//! 30 seconds while the same ranks wait. It tells the leader of the first node, which coordinates one
//! search at a time: it has all leaders take the records of their nodes twice, and tells the leaders of
//! a deadlock that it finds. While no rank waits for long, nothing is sent.
//!
//! The progress threads do this, so there is no search without them. Of several communicators whose
//! leaders know of each other's ranks, the one with the most ranks is enough.

use crate::net::envelope::{SearchMessage, To};
use crate::net::network::server::Server;
use crate::net::network::{Network, thread};
use crate::shm::lock;
use crate::shm::waiting::hosts::{self, HostLook, HostsDeadlock, KeptOnNode, MOST_WANTS, Waiting};
use crate::shm::waiting::want::{Kept, Want, Wanted};
use crate::shm::waiting::{Waits, looks_for_deadlocks, news};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The first interval at which a leader suspects a deadlock; each further one is twice as long.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(30);
/// The least time between the two times at which the records are taken.
const BETWEEN: Duration = Duration::from_millis(600);
/// The pause after a search, and what each node adds to it: the coordinator gets two messages of each.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_PER_NODE: Duration = Duration::from_millis(4);
/// After what time a search is given up that leaders do not answer.
const LONGEST_SEARCH: Duration = Duration::from_secs(20);
/// The coordinator.
const FIRST_NODE: u32 = 0;

/// The searches of one communicator, as the leader of a node sees them.
pub(super) struct Searches {
    /// Its ranks in `MPI_COMM_WORLD`. Without a rank that is not in it.
    world: HashSet<u32>,
    /// Whether all of them are in it.
    is_in_world: bool,
    state: Mutex<State>,
}

struct State {
    suspicion: Suspicion,
    /// The records of this node that were taken for the first time in the search of this number.
    first: Option<(u32, Waits)>,
    /// Deadlocks of which the ranks of this node have to be told.
    found: VecDeque<HostsDeadlock>,
    told: Option<Instant>,
    coordinator: Coordinator,
}

/// The waits for which a leader suspects a deadlock.
struct Suspicion {
    waits: HashSet<(u64, u64)>,
    interval: Duration,
    next: Instant,
}

/// The coordinator's part.
struct Coordinator {
    is_suspected: bool,
    /// The number of the last search.
    number: u32,
    /// When the next search may begin.
    rested: Instant,
    search: Option<Search>,
}

/// A search that is under way.
struct Search {
    begun: Instant,
    /// How many nodes have answered in this step.
    answers: u32,
    step: Step,
}

enum Step {
    /// The records are taken for the first time; all that is wanted.
    First(BTreeSet<Want>),
    /// The records are taken for the second time; what all nodes have found.
    Second(Vec<Want>, HostLook),
}

impl Searches {
    /// Of a communicator whose ranks have these numbers in `MPI_COMM_WORLD`.
    pub(super) fn new(world_ranks: &[Option<u32>]) -> Self {
        let now = Instant::now();
        Searches {
            world: world_ranks.iter().flatten().copied().collect(),
            is_in_world: world_ranks.iter().all(Option::is_some),
            state: Mutex::new(State {
                suspicion: Suspicion {
                    waits: HashSet::new(),
                    interval: FIRST_INTERVAL,
                    next: now,
                },
                first: None,
                found: VecDeque::new(),
                told: None,
                coordinator: Coordinator {
                    is_suspected: false,
                    number: 0,
                    rested: now,
                    search: None,
                },
            }),
        }
    }

    /// Whether a search by `other` finds all that one by this finds.
    fn are_covered_by(&self, other: &Searches) -> bool {
        self.is_in_world && self.world.is_subset(&other.world)
    }
}

impl Suspicion {
    /// Whether it is time to suspect a deadlock of these waits, which have lasted for long.
    fn is_time(&mut self, waits: HashSet<(u64, u64)>, now: Instant) -> bool {
        let is_new = !waits.is_subset(&self.waits);
        let is_time = is_new || !waits.is_empty() && now >= self.next;
        if is_new {
            self.interval = FIRST_INTERVAL;
        }
        if is_time {
            self.next = now + self.interval;
            self.interval = (self.interval * 2).min(LONGEST_INTERVAL);
        }
        self.waits = waits;
        is_time
    }
}

impl Network {
    /// As the leader, several times a second: goes on with the searches.
    pub(super) fn search_deadlocks(&self) {
        if !self.topology().is_leader()
            || !self.has_thread()
            || !looks_for_deadlocks()
            || self.domain().host_loss().is_some()
        {
            return;
        }
        let now = Instant::now();
        let mut state = lock(&self.searches.state);
        self.tell_ranks(&mut state, now);
        let waits = hosts::long_waits(self.domain());
        if state.suspicion.is_time(waits, now) && !self.is_covered() {
            match self.node() {
                FIRST_NODE => state.coordinator.is_suspected = true,
                _ => self.send_search(FIRST_NODE, SearchMessage::Suspect),
            }
        }
        self.coordinate(&mut state, now);
    }

    /// Whether another communicator finds all deadlocks that this one finds.
    fn is_covered(&self) -> bool {
        let key = |net: &Network| (net.topology().size(), net.domain().number());
        thread::all().iter().any(|other| {
            other.topology().is_leader()
                && other.has_thread()
                && other.domain().host_loss().is_none()
                && key(other) > key(self)
                && self.searches.are_covered_by(&other.searches)
        })
    }

    fn send_search(&self, node: u32, message: SearchMessage) {
        self.send_to_leader(node, self.envelope(To::Search(message)).to_bytes());
    }

    /// Sends a message to all leaders, to this one as well.
    fn send_search_to_all(&self, message: SearchMessage) {
        let bytes = self.envelope(To::Search(message)).to_bytes();
        self.send_to_other_leaders(&bytes);
        self.send_to_leader(self.node(), bytes);
    }

    /// Tells the ranks of this node of the next deadlock, once they have looked for the last one.
    fn tell_ranks(&self, state: &mut State, now: Instant) {
        if state.told.is_some_and(|told| now - told < news::SPREAD) {
            return;
        }
        if let Some(HostsDeadlock {
            members,
            reporter,
            text,
        }) = state.found.pop_front()
        {
            state.told = Some(now);
            news::publish(self.domain(), &members, reporter, &text);
        }
    }

    /// As the coordinator: begins a search, or the second step of one.
    fn coordinate(&self, state: &mut State, now: Instant) {
        let nodes = self.nodes();
        let coordinator = &mut state.coordinator;
        let Some(search) = &mut coordinator.search else {
            if coordinator.is_suspected && now >= coordinator.rested {
                coordinator.is_suspected = false;
                coordinator.number = coordinator.number.wrapping_add(1);
                coordinator.search = Some(Search {
                    begun: now,
                    answers: 0,
                    step: Step::First(BTreeSet::new()),
                });
                let search = coordinator.number;
                self.send_search_to_all(SearchMessage::LookFirst { search });
            }
            return;
        };
        if now - search.begun >= LONGEST_SEARCH {
            return coordinator.end(now, nodes);
        }
        if let Step::First(wants) = &search.step
            && search.answers == nodes
            && now - search.begun >= BETWEEN
        {
            let wants: Vec<Want> = wants.iter().copied().take(MOST_WANTS).collect();
            if wants.is_empty() {
                return coordinator.end(now, nodes);
            }
            search.answers = 0;
            search.step = Step::Second(wants.clone(), HostLook::default());
            let search = coordinator.number;
            self.send_search_to_all(SearchMessage::LookAgain { search, wants });
        }
    }

    /// Handles a message of a search.
    pub(super) fn receive_search(&self, from: u32, message: SearchMessage) {
        let state = &mut *lock(&self.searches.state);
        let coordinator = self.topology().node_of(from);
        match message {
            SearchMessage::Suspect => state.coordinator.is_suspected = true,
            SearchMessage::LookFirst { search } => {
                let (waits, wants) = hosts::look_first(self.domain());
                state.first = Some((search, waits));
                let wants = wants.into_iter().take(MOST_WANTS).collect();
                self.send_search(coordinator, SearchMessage::Wants { search, wants });
            }
            SearchMessage::LookAgain { search, wants } => {
                let first = state.first.take().filter(|(number, _)| *number == search);
                let before = first.map_or_else(Waits::new, |(_, waits)| waits);
                let keeps = |want: &Want, waiting: &[Waiting]| self.kept_by(want, waiting);
                let look = hosts::look_again(self.domain(), &before, &wants, keeps);
                self.send_search(coordinator, SearchMessage::Waits { search, look });
            }
            SearchMessage::Wants { search, wants } => {
                if let Some(Search {
                    answers,
                    step: Step::First(all),
                    ..
                }) = state.coordinator.search_of(search)
                {
                    *answers += 1;
                    all.extend(wants);
                }
            }
            SearchMessage::Waits { search, look } => {
                let nodes = self.nodes();
                if let Some(Search {
                    answers,
                    step: Step::Second(wants, all),
                    ..
                }) = state.coordinator.search_of(search)
                {
                    *answers += 1;
                    all.add(look);
                    if *answers == nodes {
                        let found = hosts::find(wants, all);
                        state.coordinator.end(Instant::now(), nodes);
                        for deadlock in found {
                            self.send_search_to_all(SearchMessage::Found(deadlock));
                        }
                    }
                }
            }
            SearchMessage::Found(deadlock) => {
                state.found.push_back(deadlock);
                self.tell_ranks(state, Instant::now());
            }
        }
    }

    /// What ranks of this node, which wait, keep of a want, and what the node knows of it. Nothing, if this
    /// is not the leader of its communicator's ranks here.
    fn kept_by(&self, want: &Want, waiting: &[Waiting]) -> KeptOnNode {
        let networks = thread::all();
        let is_its = |net: &&Arc<Network>| net.domain().number() == Some(want.of.communicator);
        let net = networks.iter().find(is_its);
        let Some((net, server)) = net.map(|net| (net, lock(&net.server))) else {
            return KeptOnNode::default();
        };
        let Some(server) = server.as_ref() else {
            return KeptOnNode::default();
        };
        let segment = net.domain().segment();
        let members = 0..net.topology().local_ranks().len();
        let process = |local_rank| (segment.member(local_rank).wait.process(), local_rank);
        let local_ranks: HashMap<u64, usize> = members.map(process).collect();
        let kept = |waiting: &Waiting| {
            let local_rank = local_ranks.get(&waiting.process)?;
            Some(net.keeps(server, want, *local_rank, waiting))
        };
        KeptOnNode {
            kept: (waiting.iter())
                .map(|waiting| kept(waiting).unwrap_or_default())
                .collect(),
            tally: server.tally(want.of.object, &want.what),
        }
    }

    fn keeps(&self, server: &Server, want: &Want, local_rank: usize, waiting: &Waiting) -> Kept {
        if let Wanted::Meeting(number) = want.what {
            let arrival_slot = &self.domain().segment().member(local_rank).arrival_slot;
            return Kept::one_if(arrival_slot.posted.load(Ordering::Acquire) < number);
        }
        if want.what.is_up_to_all() {
            return Kept::one_if(true);
        }
        let waits_here = waiting.object == Some(want.of);
        server.keeps(want.of.object, local_rank, &want.what, waits_here)
    }
}

impl Coordinator {
    /// The search of this number, if it is under way.
    fn search_of(&mut self, number: u32) -> Option<&mut Search> {
        self.search.as_mut().filter(|_| self.number == number)
    }

    fn end(&mut self, now: Instant, nodes: u32) {
        self.search = None;
        self.rested = now + PAUSE + PAUSE_PER_NODE * nodes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_waits_are_suspected_at_growing_intervals() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut suspicion = Suspicion {
            waits: HashSet::new(),
            interval: FIRST_INTERVAL,
            next: start,
        };
        let one = HashSet::from([(1, 1)]);
        let two = HashSet::from([(1, 1), (2, 7)]);
        assert!(!suspicion.is_time(HashSet::new(), at(0)));
        assert!(suspicion.is_time(one.clone(), at(0)));
        let times: Vec<u64> = (1..70)
            .filter(|second| suspicion.is_time(one.clone(), at(*second)))
            .collect();
        assert_eq!(times, [1, 3, 7, 15, 31, 61]);
        // A new wait is suspected at once, and one that has ended is not.
        assert!(suspicion.is_time(two, at(70)));
        assert!(!suspicion.is_time(one.clone(), at(70)));
        assert!(suspicion.is_time(one, at(71)));
    }

    #[test]
    fn a_larger_communicator_finds_the_deadlocks_of_a_smaller_one() {
        let all = Searches::new(&[Some(0), Some(1), Some(2)]);
        let some = Searches::new(&[Some(2), Some(0)]);
        let spawned = Searches::new(&[Some(0), None]);
        assert!(some.are_covered_by(&all) && !all.are_covered_by(&some));
        assert!(!spawned.are_covered_by(&all));
    }
}
