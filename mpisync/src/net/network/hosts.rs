//! Whether the hosts of a communicator still answer.
//!
//! The leader of each node, that is of a host, sends a beat to the leaders of the next two nodes
//! about once a second, in a ring, and so hears of the two before it. Any message of theirs counts
//! as a beat. A node that has not been heard of for longer than the limit is lost, and the leader
//! that has found this tells all others. On the node itself a word in shared memory takes the place
//! of the messages, and `/proc` tells at once whether the leader's process is alive.
//!
//! The leaders of several communicators may be the same processes. A beat of one communicator is one
//! of all, so these processes send each other one beat in each interval.
//!
//! A node that is lost stays so, also if it answers again: its ranks are not taken for dead, so what
//! they hold is not given to others. But no wait across nodes can be relied on any more, and all of
//! them end with an error, on all nodes.

use crate::net::envelope::To;
use crate::net::network::contact::Contact;
use crate::net::network::{INSPECTION, Network};
use crate::shm::lock;
use crate::shm::topology::Topology;
use crate::shm::wait::Surroundings;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often a leader sends beats, if the limit is not short.
const BEAT: Duration = Duration::from_secs(1);
/// The number of beats that a leader may send within the limit.
const BEATS_WITHIN_LIMIT: u32 = 5;
/// How many nodes watch each node.
const WATCHERS: u32 = 2;
/// How long after MPI has failed to send to a leader its ranks have to report its death.
const REPORT: Duration = Duration::from_secs(2);
/// How many polls of a rank that is no leader there are for each look at the clock.
const POLLS: u32 = 64;

/// What a rank knows of the nodes that it watches.
pub(super) struct Hosts {
    /// After what time a node that does not answer is lost. None if never, or if there are no
    /// progress threads: then a node may be silent as long as its leader computes.
    limit: Option<Duration>,
    /// The leaders that this one watches: those of the nodes before it. None on other ranks.
    watched: Vec<Watched>,
    /// The leaders that watch this one.
    watchers: Vec<Leader>,
    state: Mutex<State>,
    /// The number of polls of a rank that is no leader.
    polls: AtomicU32,
}

/// The leader of another node.
struct Leader {
    rank: u32,
    contact: Arc<Contact>,
}

struct Watched {
    leader: Leader,
    /// Whether a message has come from it since the last look.
    was_heard: AtomicBool,
}

struct State {
    /// When this rank has looked last.
    looked: Instant,
    /// By watched leader: when it was heard of last, or when all ranks have begun.
    heard: Vec<Instant>,
    /// On other ranks: the beat of this node's leader, and since when it has been the same.
    beat: (u32, Instant),
}

impl Hosts {
    /// `limit` is after what time a node that does not answer is lost; `contact` finds the contact
    /// with another leader.
    pub(super) fn new(
        topology: &Topology,
        limit: Option<Duration>,
        contact: impl Fn(u32) -> Arc<Contact>,
    ) -> Self {
        let (node, nodes) = (topology.node(), topology.nodes());
        let steps = 1..=WATCHERS.min(nodes - 1);
        let leader = |node: u32| {
            let rank = topology.leader(node % nodes);
            let contact = contact(rank);
            Leader { rank, contact }
        };
        let (mut watched, mut watchers) = (Vec::new(), Vec::new());
        if topology.is_leader() {
            watched.extend(steps.clone().map(|step| Watched {
                leader: leader(node + nodes - step),
                was_heard: AtomicBool::new(false),
            }));
            watchers.extend(steps.map(|step| leader(node + step)));
        }
        let now = Instant::now();
        Hosts {
            limit,
            state: Mutex::new(State {
                looked: now,
                heard: vec![now; watched.len()],
                beat: (0, now),
            }),
            watched,
            watchers,
            polls: AtomicU32::new(0),
        }
    }

    /// Notes a message of `rank`.
    pub(super) fn hear(&self, rank: u32) {
        for watched in &self.watched {
            if watched.leader.rank == rank {
                watched.was_heard.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether it is time for a rank that is no leader to look at the clock.
    fn is_time_to_look(&self) -> bool {
        let polls = self.polls.fetch_add(1, Ordering::Relaxed);
        polls.is_multiple_of(POLLS)
    }
}

impl State {
    /// Looks at the clock at `now`. Returns false if this rank itself has not run for long: then
    /// it knows nothing about the others, and begins again.
    fn looks(&mut self, now: Instant, limit: Duration) -> bool {
        let has_run = now - self.looked < limit / 2;
        self.looked = now;
        if !has_run {
            self.heard.fill(now);
            self.beat.1 = now;
        }
        has_run
    }
}

impl Network {
    /// As the leader, several times a second: sends a beat if it is time, and checks the nodes that
    /// this one watches.
    pub(super) fn watch_hosts(&self) {
        let hosts = &self.hosts;
        let Some(limit) = hosts.limit else {
            return;
        };
        self.domain().segment().show_beat();
        if self.domain().host_loss().is_some() {
            return;
        }
        let now = Instant::now();
        let mut silent = None;
        {
            let mut state = lock(&hosts.state);
            let has_run = state.looks(now, limit);
            for (watched, heard) in hosts.watched.iter().zip(&mut state.heard) {
                let contact = &watched.leader.contact;
                if watched.was_heard.swap(false, Ordering::Relaxed) {
                    contact.note_heard(now);
                }
                *heard = contact.heard().map_or(*heard, |at| at.max(*heard));
                if has_run && now.saturating_duration_since(*heard) > limit {
                    silent = Some(watched.leader.rank);
                }
            }
        }
        if let Some(leader) = silent {
            return self.lose_host(leader, true);
        }
        let interval = BEAT.min(limit / BEATS_WITHIN_LIMIT);
        for leader in &hosts.watchers {
            if leader.contact.is_time_to_send(now, interval) {
                self.send(leader.rank, self.envelope(To::Beat).to_bytes());
            }
        }
    }

    /// As another rank, in each poll: checks the leader of this node now and then.
    pub(super) fn watch_leader(&self) {
        /// The local rank of the leader.
        const LEADER: usize = 0;
        let hosts = &self.hosts;
        let (topology, domain) = (self.topology(), self.domain());
        if topology.is_leader() || !hosts.is_time_to_look() || domain.host_loss().is_some() {
            return;
        }
        let now = Instant::now();
        let mut state = lock(&hosts.state);
        if now - state.looked < INSPECTION {
            return;
        }
        let beat = domain.segment().beat();
        let is_silent = match hosts.limit {
            None => {
                state.looked = now;
                false
            }
            Some(limit) => {
                let has_run = state.looks(now, limit);
                if beat != state.beat.0 {
                    state.beat = (beat, now);
                }
                // Before the first beat its thread may not have begun.
                has_run && beat != 0 && now - state.beat.1 > limit
            }
        };
        drop(state);
        let leader = topology.leader(topology.node());
        // After the loss has been recorded, no further message is sent to the dead.
        if !domain.is_alive(LEADER) {
            self.lose_host(leader, false);
        } else if is_silent {
            self.lose_host(leader, true);
        }
    }

    /// The host of this leader is lost: its leader has died, or it is silent. Tells all other
    /// leaders, unless another rank of this node has done so.
    #[cold]
    pub(super) fn lose_host(&self, leader: u32, is_silent: bool) {
        if !self.domain().segment().lose(leader, is_silent) {
            return;
        }
        let rank = leader;
        let news = if is_silent {
            To::Silent { rank }
        } else {
            To::Dead { rank }
        };
        self.tell_other_leaders(news);
    }

    /// Whether MPI's failure to send to `rank`, which was at `since`, shows that its host is lost;
    /// records it then. Another rank may report meanwhile that it has died.
    pub(super) fn lose_unreachable(&self, rank: u32, since: Instant) -> bool {
        let topology = self.topology();
        let node = topology.node_of(rank);
        let is_remote_leader = topology.leader(node) == rank && node != topology.node();
        let is_lost = is_remote_leader && since.elapsed() > REPORT;
        if is_lost {
            self.lose_host(rank, true);
        }
        is_lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The topology of `rank` where each node has two ranks.
    fn pairs(rank: u32, nodes: u32) -> Topology {
        let leaders: Vec<u32> = (0..nodes).flat_map(|node| [2 * node; 2]).collect();
        Topology::new(rank, &leaders)
    }

    #[test]
    fn each_leader_watches_two_others() {
        /// Whom `rank` watches, and who watches it.
        fn ring(rank: u32, nodes: u32) -> (Vec<u32>, Vec<u32>) {
            let limit = Some(Duration::from_secs(10));
            let hosts = Hosts::new(&pairs(rank, nodes), limit, |_| Arc::default());
            let watched = hosts.watched.iter().map(|watched| watched.leader.rank);
            let watchers = hosts.watchers.iter().map(|leader| leader.rank);
            (watched.collect(), watchers.collect())
        }
        assert_eq!(ring(2, 2), (vec![0], vec![0]));
        assert_eq!(ring(2, 5), (vec![0, 8], vec![4, 6]));
        assert_eq!(ring(3, 5), (vec![], vec![]));
    }

    #[test]
    fn a_rank_that_has_not_run_begins_again() {
        let limit = Duration::from_secs(10);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut state = State {
            looked: start,
            heard: vec![start],
            beat: (1, start),
        };
        assert!(state.looks(at(4), limit));
        assert_eq!((state.heard[0], state.beat.1), (start, start));
        assert!(!state.looks(at(9), limit));
        assert_eq!((state.heard[0], state.beat.1), (at(9), at(9)));
        assert!(state.looks(at(10), limit));
    }
}
