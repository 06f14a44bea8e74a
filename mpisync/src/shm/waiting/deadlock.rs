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

use crate::error::call_text;
use crate::shm::waiting::record::{
    FOUND, Known, LEAVING, Looked, NeededProcesses, for_each_known, note_phase, own_number,
};
use crate::shm::waiting::report::seconds;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
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
/// How often it looks whether they have.
const AGREEMENT: Duration = Duration::from_millis(10);
/// The most ranks that a report describes.
const MOST: usize = 16;

/// The search of one wait.
#[derive(Default)]
pub(super) struct Search {
    /// The records at the first time.
    before: Option<(Instant, Waits)>,
    found: Option<(Instant, Deadlock)>,
}

/// The identities of the waits of all processes, and the numbers of their last looks.
type Waits = HashMap<u64, (u64, u64)>;

/// A deadlock that this rank is a part of.
pub(super) struct Deadlock {
    /// The processes, each with the identity of its wait.
    members: HashMap<u64, u64>,
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
                if now - *at >= LONGEST_AGREEMENT || deadlock.has_got_to(FOUND) =>
            {
                Found::Agreed(deadlock)
            }
            _ => Found::Nothing,
        }
    }

    /// When the next step is due, if one is.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.found.as_ref().map(|_| now + AGREEMENT)
    }
}

impl Deadlock {
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
        if let Some(looked) = known.looked() {
            waits.insert(known.process, (looked.since, looked.look));
        }
    });
    waits
}

/// A process that waits.
pub(super) struct Node {
    pub(super) needs: NeededProcesses,
    looked: Looked,
    rank: u32,
    id: u32,
    /// What it says of its wait.
    text: String,
}

impl Node {
    /// The node, if the process is in the same wait as before and has looked anew.
    fn of(known: &Known<'_>, before: &Waits) -> Option<Self> {
        let looked = known.looked()?;
        let (since, look) = before.get(&known.process)?;
        // The look that was under way at the first time may have written its number after it.
        if looked.since != *since || looked.look < look + 2 {
            return None;
        }
        let wait = known.wait()?;
        let call = call_text(&wait.call, &wait.kind, &wait.object, &wait.file, wait.line);
        Some(Node {
            needs: looked.needs.clone()?,
            text: format!("has waited for {} in {call}", seconds(wait.age())),
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
    remove_free(&mut nodes, |node| &node.needs);
    let me = own_number();
    let chosen = |process: u64| chosen(&nodes, process, |node| &node.needs);
    let all = reach(me, chosen);
    if !all.contains(&me) {
        return None;
    }
    let members: Vec<u64> = (all.iter().copied())
        .filter(|&other| other == me || reach(other, chosen).contains(&me))
        .collect();
    let order = |process: &u64| (nodes[process].id, *process);
    let first = members.iter().min_by_key(|process| order(process));
    Some(Deadlock {
        is_mine_to_report: first == Some(&me),
        text: text(&nodes, all.into_iter().collect()),
        members: (members.into_iter())
            .map(|process| (process, nodes[&process].looked.since))
            .collect(),
    })
}

/// Removes all processes that may go on.
fn remove_free<N>(nodes: &mut HashMap<u64, N>, needs: impl Fn(&N) -> &NeededProcesses) {
    loop {
        let is_stuck = |node: &N| match needs(node) {
            NeededProcesses::Each(processes) => processes.iter().any(|one| nodes.contains_key(one)),
            NeededProcesses::Any(processes) => {
                !processes.is_empty() && processes.iter().all(|one| nodes.contains_key(one))
            }
        };
        let free = nodes.iter().filter(|(_, node)| !is_stuck(node));
        let free: Vec<u64> = free.map(|(process, _)| *process).collect();
        if free.is_empty() {
            return;
        }
        for process in free {
            nodes.remove(&process);
        }
    }
}

/// The processes without which a stuck one does not go on: one of several that it all needs.
fn chosen<N>(
    nodes: &HashMap<u64, N>,
    process: u64,
    needs: impl Fn(&N) -> &NeededProcesses,
) -> Vec<u64> {
    match nodes.get(&process).map(needs) {
        None => Vec::new(),
        Some(NeededProcesses::Each(processes)) => {
            let stuck = processes.iter().find(|one| nodes.contains_key(one));
            stuck.copied().into_iter().collect()
        }
        Some(NeededProcesses::Any(processes)) => processes.clone(),
    }
}

/// All processes that `process` leads to.
fn reach(process: u64, chosen: impl Fn(u64) -> Vec<u64>) -> BTreeSet<u64> {
    let mut reached = BTreeSet::new();
    let mut next = chosen(process);
    while let Some(process) = next.pop() {
        if reached.insert(process) {
            next.extend(chosen(process));
        }
    }
    reached
}

/// The waits of these processes, a line each.
fn text(nodes: &HashMap<u64, Node>, mut processes: Vec<u64>) -> String {
    processes.sort_unstable_by_key(|process| (nodes[process].rank, *process));
    let mut text = String::new();
    for process in processes.iter().take(MOST) {
        let node = &nodes[process];
        let needed = chosen(nodes, *process, |node| &node.needs);
        let ranks: Vec<u32> = needed.iter().map(|needed| nodes[needed].rank).collect();
        let _ = write!(text, "\nrank {} {}, for ", node.rank, node.text);
        let _ = match ranks[..] {
            [rank] => write!(text, "rank {rank}"),
            _ => write!(text, "any of the ranks {ranks:?}"),
        };
        let mut taken = node.looked.taken.iter();
        if let Some(taken) = taken.find(|taken| needed == [taken.process]) {
            let _ = write!(text, ", which took it at {}:{}", taken.file, taken.line);
        }
    }
    if let Some(more) = processes.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = write!(text, "\nand {more} more ranks");
    }
    text
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::NeededProcesses::{Any, Each};
    use super::*;

    /// The processes that remain of these.
    fn stuck(nodes: &[(u64, NeededProcesses)]) -> Vec<u64> {
        let mut nodes: HashMap<u64, NeededProcesses> = nodes.iter().cloned().collect();
        remove_free(&mut nodes, |needs| needs);
        let mut stuck: Vec<u64> = nodes.into_keys().collect();
        stuck.sort_unstable();
        stuck
    }

    #[test]
    fn a_cycle_is_stuck_and_a_chain_is_not() {
        let cycle = [(1, Each(vec![2])), (2, Each(vec![3])), (3, Each(vec![1]))];
        assert_eq!(stuck(&cycle), [1, 2, 3]);
        assert!(stuck(&cycle[..2]).is_empty());
        // A process that waits for the cycle is stuck, and is not a part of the cycle.
        let mut with_more = cycle.to_vec();
        with_more.push((4, Each(vec![5, 1])));
        assert_eq!(stuck(&with_more), [1, 2, 3, 4]);
        let nodes: HashMap<u64, NeededProcesses> = with_more.into_iter().collect();
        let reached = |from| reach(from, |process| chosen(&nodes, process, |needs| needs));
        assert!(reached(1).contains(&1) && !reached(4).contains(&4));
    }

    #[test]
    fn one_that_may_go_on_is_enough_for_a_wait_for_any() {
        let both = Any(vec![2, 3]);
        let (two, three) = (Each(vec![1]), Each(vec![1]));
        assert!(stuck(&[(1, both.clone()), (2, two.clone())]).is_empty());
        assert_eq!(stuck(&[(1, both), (2, two), (3, three)]), [1, 2, 3]);
        assert!(stuck(&[(1, Any(vec![]))]).is_empty());
        assert!(stuck(&[(1, Each(vec![]))]).is_empty());
    }
}
