//! Deadlocks: ranks each of which waits for others of them.
//!
//! Each rank that waits notes, in its record, which processes have to go on before its wait can end:
//! each of some (the holders of a lock, the ranks that have not come), or any one of some (those that
//! could release a permit or take a message). Nothing else can end the wait, and it has no time limit.
//! These notes are the waits-for graph of Knapp, "Deadlock Detection in Distributed Databases", ACM
//! Computing Surveys 19, 1987, in its AND-OR model.
//!
//! A set of processes is deadlocked if each of them waits for one of the set, or for any one of
//! several that are all in it. The largest such set remains when all others are removed.
//!
//! No rank looks at all records at one moment, so a rank takes them twice. A process counts if it is
//! in the same wait both times, and has looked anew, from beginning to end, in between. So all
//! processes of the set were in their waits at the first time and at the second, and did nothing in
//! between that could make the notes wrong, which were made in between. The first of them to go on
//! would need one that has not gone on. A rank that computes, is stopped, or does not know what
//! could end its wait has no such note.
//!
//! Deadlocks over several hosts are found by the leaders of their nodes, see [`hosts`](super::hosts),
//! and a rank of such a deadlock gets the news.

use crate::shm::waiting::graph::{Line, NeededProcesses, chosen, circle, remove_free, text};
use crate::shm::waiting::news::{News, news_for};
use crate::shm::waiting::record::{FOUND, LEAVING, Looked, Taken, now as host_clock};
use crate::shm::waiting::records::{Known, for_each_known, note_phase, own_number};
use std::collections::HashMap;
use std::slice;
use std::thread;
use std::time::{Duration, Instant};

/// How long a rank waits before it suspects a deadlock.
const SUSPECTED_AFTER: Duration = Duration::from_millis(400);
/// The least time between the two times at which it takes the records.
const BETWEEN: Duration = Duration::from_millis(600);
/// How long it waits for the others to find the same deadlock, before it ends its wait.
const LONGEST_AGREEMENT: Duration = Duration::from_secs(3);
/// How long it waits for the others to be about to end theirs.
const LONGEST_LEAVING: Duration = Duration::from_millis(100);
/// For how long a rank that has ended its wait keeps what it has, so that those of other hosts end
/// theirs: what it gives back may end them otherwise. It is longer than the news take to some hosts
/// after the others.
const LINGER: Duration = Duration::from_millis(200);
/// How often it looks whether they have.
const AGREEMENT: Duration = Duration::from_millis(10);
/// The search of one wait.
#[derive(Default)]
pub(super) struct Search {
    /// The records at the first time.
    before: Option<(Instant, Waits)>,
    found: Option<(Instant, Deadlock)>,
}

/// The identities of the waits of processes, and the numbers of their last looks.
pub(crate) type Waits = HashMap<u64, (u64, u64)>;

/// A deadlock that this rank is a part of.
pub(super) struct Deadlock {
    /// The processes, each with the identity of its wait. None are named in news of other hosts.
    members: HashMap<u64, u64>,
    /// Until when the news of it reach the others, by the host's clock.
    known_at: u64,
    /// Whether this is the process that reports it.
    pub(super) is_mine_to_report: bool,
    /// What it is.
    pub(super) text: String,
}

/// What has to be done after a step of the search.
pub(super) enum Found<'a> {
    Nothing,
    /// The rank has just found out that it is in this deadlock.
    New(&'a Deadlock),
    /// All ranks of the deadlock have found it.
    Agreed(&'a Deadlock),
}

impl Search {
    /// Searches for a deadlock with the wait of this identity, which has lasted for some time. Called
    /// after each look.
    pub(super) fn step(&mut self, since: u64, waited: Duration, now: Instant) -> Found<'_> {
        if self.found.is_some() {
            return self.agreement(now);
        }
        if let Some(news) = news_for(since) {
            note_phase(since, FOUND);
            let (_, deadlock) = self.found.insert((now, news.into()));
            return Found::New(deadlock);
        }
        if waited < SUSPECTED_AFTER {
            return Found::Nothing;
        }
        match &self.before {
            Some((at, _)) if now - *at < BETWEEN => return Found::Nothing,
            Some((_, before)) => {
                if let Some(deadlock) = find(before) {
                    note_phase(since, FOUND);
                    self.before = None;
                    let (_, deadlock) = self.found.insert((now, deadlock));
                    return Found::New(deadlock);
                }
            }
            None => {}
        }
        self.before = Some((now, waits()));
        Found::Nothing
    }

    fn agreement(&self, now: Instant) -> Found<'_> {
        match &self.found {
            Some((at, deadlock))
                if now - *at >= LONGEST_AGREEMENT || deadlock.is_known_to_all() =>
            {
                Found::Agreed(deadlock)
            }
            _ => Found::Nothing,
        }
    }

    /// When the next step is due, if one is.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let (_, deadlock) = self.found.as_ref()?;
        let left = Duration::from_nanos(deadlock.known_at.saturating_sub(host_clock()));
        let next = if left.is_zero() {
            AGREEMENT
        } else {
            left.min(AGREEMENT)
        };
        Some(now + next)
    }
}

impl From<News> for Deadlock {
    fn from(news: News) -> Self {
        Deadlock {
            members: HashMap::new(),
            known_at: news.known_at,
            is_mine_to_report: news.is_mine_to_report,
            text: news.text,
        }
    }
}

impl Deadlock {
    fn is_known_to_all(&self) -> bool {
        host_clock() >= self.known_at && self.has_got_to(FOUND)
    }

    /// Whether all its processes have got to this phase, or have ended their waits.
    fn has_got_to(&self, phase: u32) -> bool {
        let mut all = true;
        for_each_known(|known| {
            if let Some(&wait) = self.members.get(&known.process) {
                let (since, reached) = known.phase();
                all &= since != wait || reached >= phase;
            }
        });
        all
    }

    /// How long this rank keeps what it has after its wait.
    pub(super) fn linger(&self) -> Duration {
        match self.members.is_empty() {
            // News of other hosts.
            true => LINGER,
            false => Duration::ZERO,
        }
    }

    /// Waits a moment until all of them are about to end their waits, so that each gets the error: the
    /// first one that goes on may end the waits of others.
    pub(super) fn leave_together(&self, since: u64) {
        note_phase(since, LEAVING);
        let start = Instant::now();
        while start.elapsed() < LONGEST_LEAVING && !self.has_got_to(LEAVING) {
            thread::yield_now();
        }
    }
}

fn waits() -> Waits {
    let mut waits = Waits::new();
    for_each_known(|known| {
        if let Some(look) = known.look() {
            waits.insert(known.process, look);
        }
    });
    waits
}

/// A process that waits.
struct Node {
    needs: NeededProcesses,
    looked: Looked,
    rank: u32,
    id: u32,
    /// What it says of its wait.
    text: String,
}

impl Node {
    fn needs(&self) -> &[NeededProcesses] {
        slice::from_ref(&self.needs)
    }

    /// The node, if the process is in the same wait as before and has looked anew.
    fn of(known: &Known<'_>, before: &Waits) -> Option<Self> {
        let looked = known.looked()?;
        if !looked.is_new_since(before.get(&known.process)?) {
            return None;
        }
        Some(Node {
            needs: looked.needs.clone()?,
            text: known.wait()?.text(),
            looked,
            rank: known.rank,
            id: known.id,
        })
    }
}

/// The deadlock that this process is in, if it is in one.
fn find(before: &Waits) -> Option<Deadlock> {
    let mut nodes = HashMap::new();
    for_each_known(|known| {
        if let Some(node) = Node::of(&known, before) {
            nodes.insert(known.process, node);
        }
    });
    remove_free(&mut nodes, Node::needs);
    let me = own_number();
    let chosen = |process: u64| chosen(&nodes, process, Node::needs);
    let found = circle(me, chosen)?;
    let order = |process: &u64| (nodes[process].id, *process);
    let first = found.members.iter().min_by_key(|process| order(process));
    let line = |process: &u64| {
        let Node {
            looked, rank, text, ..
        } = &nodes[process];
        let needed = chosen(*process);
        Line {
            rank: *rank,
            wait: text,
            taken_at: match needed[..] {
                [holder] => Taken::place_of(&looked.taken, holder),
                _ => None,
            },
            needed: needed.iter().map(|needed| nodes[needed].rank).collect(),
        }
    };
    Some(Deadlock {
        is_mine_to_report: first == Some(&me),
        known_at: 0,
        text: text(found.all.iter().map(line).collect()),
        members: (found.members.iter())
            .map(|process| (*process, nodes[process].looked.since))
            .collect(),
    })
}
