//! Deadlocks over several hosts.
//!
//! The leaders of the nodes search for them. Each takes the records of its node's ranks twice, as a rank
//! does for the deadlocks of one node (see [`deadlock`](super::deadlock)). All have taken theirs the
//! first time before one of them begins the second time. In between they exchange what the ranks want,
//! and the second time each leader finds out what those of its ranks that wait keep of that.
//!
//! A rank of another host is never needed because of what a host has heard of it: the message that it
//! has left a lock may be under way. It is needed because its own words, on its own host, say that it
//! keeps what is wanted, see [`want`](super::want). It waits meanwhile, from before the first time until
//! after the second, and only it changes these words. So there is a moment at which all processes of
//! the set were in their waits, each wanted what others kept, and none got it before one of the
//! others went on. A rank of the same host is needed for that reason, or for those of `deadlock`.
//!
//! A wait that any one of several ranks can end needs all of them, and that nothing is under way that
//! ends it: the [`Tally`] of each node is read at the second time as well.

use crate::shm::atomic::{Ordering, fence};
use crate::shm::domain::Domain;
use crate::shm::waiting::deadlock::Waits;
use crate::shm::waiting::graph::{Line, NeededProcesses, chosen, circle, remove_free, text};
use crate::shm::waiting::record::{FOUND, Looked, Taken, now};
use crate::shm::waiting::want::{GlobalId, Kept, Tally, Want};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// How long a rank waits before its node's leader suspects a deadlock.
const SUSPECTED_AFTER: Duration = Duration::from_secs(1);
/// The most wants that are exchanged.
pub(crate) const MOST_WANTS: usize = 1024;

/// A rank that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// The number of its process.
    pub(crate) process: u64,
    /// The object on which it waits, if that spans hosts.
    pub(crate) object: Option<GlobalId>,
}

/// What a leader has found out about the wait of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HostWait {
    process: u64,
    /// The identity of the wait.
    since: u64,
    rank: u32,
    /// Whether the process knows that it is in a deadlock.
    is_found: bool,
    /// The processes of its host that it needs.
    needs: Option<NeededProcesses>,
    /// Where some of them have taken what this one waits for.
    taken: Vec<Taken>,
    /// The index of what it wants.
    wants: Option<u32>,
    keeps: Vec<KeptWant>,
    /// What it says of its wait.
    text: String,
}

/// What a leader has found out about its node at the second time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct HostLook {
    /// The waits that have lasted since the first time and may keep others waiting.
    waits: Vec<HostWait>,
    /// By the index of what is wanted.
    tallies: Vec<(u32, Tally)>,
}

/// What a node's leader knows of a want.
#[derive(Default)]
pub(crate) struct KeptOnNode {
    /// What ranks, which wait, keep of it.
    pub(crate) kept: Vec<Kept>,
    pub(crate) tally: Option<Tally>,
}

/// What a process keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptWant {
    /// The index of what is wanted.
    want: u32,
    amount: u64,
    taken_at: Option<(String, u32)>,
}

/// A deadlock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostsDeadlock {
    /// The processes, each with the identity of its wait.
    pub(crate) members: Vec<(u64, u64)>,
    /// The process that reports it.
    pub(crate) reporter: u64,
    pub(crate) text: String,
}

/// The ranks of this node that have waited for long without a time limit: their processes, and the
/// identities of their waits.
pub(crate) fn long_waits(domain: &Domain) -> HashSet<(u64, u64)> {
    let now = now();
    let members = 0..domain.topology().local_ranks().len();
    let long_wait = |local_rank| {
        let record = &domain.segment().member(local_rank).wait;
        let since = record.waits_endlessly()?;
        let is_long = now.saturating_sub(since) >= SUSPECTED_AFTER.as_nanos() as u64;
        is_long.then(|| (record.process(), since))
    };
    members.filter_map(long_wait).collect()
}

/// The local ranks of this node that wait, and what they have found in their last looks.
fn all_looked(domain: &Domain) -> impl Iterator<Item = (usize, u64, Looked)> {
    let members = 0..domain.topology().local_ranks().len();
    members.filter_map(|local_rank| {
        let record = &domain.segment().member(local_rank).wait;
        Some((local_rank, record.process(), record.looked()?))
    })
}

/// Takes the records of this node's ranks for the first time. Returns the waits, and what is wanted.
pub(crate) fn look_first(domain: &Domain) -> (Waits, BTreeSet<Want>) {
    let (mut waits, mut wants) = (Waits::new(), BTreeSet::new());
    for (_, process, looked) in all_looked(domain) {
        waits.insert(process, (looked.since, looked.look));
        wants.extend(looked.want);
    }
    (waits, wants)
}

/// Takes them for the second time. `keeps` tells what ranks, which wait, keep of a want.
pub(crate) fn look_again(
    domain: &Domain,
    before: &Waits,
    wants: &[Want],
    keeps: impl Fn(&Want, &[Waiting]) -> KeptOnNode,
) -> HostLook {
    let same = |(_, process, looked): &(usize, u64, Looked)| {
        let before = before.get(process);
        before.is_some_and(|before| looked.is_new_since(before))
    };
    let same: Vec<_> = all_looked(domain).filter(same).collect();
    let waiting = |(_, process, looked): &(usize, u64, Looked)| Waiting {
        process: *process,
        object: looked.object,
    };
    let waiting: Vec<Waiting> = same.iter().map(waiting).collect();
    let mut kept_by: Vec<Vec<KeptWant>> = same.iter().map(|_| Vec::new()).collect();
    let mut tallies = Vec::new();
    for (index, want) in wants.iter().enumerate() {
        let KeptOnNode { kept, tally } = keeps(want, &waiting);
        tallies.extend(tally.map(|tally| (index as u32, tally)));
        for (kept, keeps) in kept.into_iter().zip(&mut kept_by) {
            if kept.amount > 0 {
                let place = |at: crate::location::Place| (at.file().to_owned(), at.line());
                keeps.push(KeptWant {
                    want: index as u32,
                    amount: kept.amount,
                    taken_at: kept.taken_at.map(place),
                });
            }
        }
    }
    fence(Ordering::Acquire);
    let host_wait = |((local_rank, process, looked), keeps): ((usize, u64, Looked), _)| {
        let record = &domain.segment().member(local_rank).wait;
        // It has not gone on until now, so what it keeps is what it has kept all the time. The fence
        // comes after the loads of what it keeps.
        let wait = record.get().filter(|wait| wait.since == looked.since)?;
        let wants = looked.want.and_then(|want| wants.binary_search(&want).ok());
        Some(HostWait {
            process,
            since: looked.since,
            rank: domain.topology().local_ranks()[local_rank],
            is_found: record.phase() == (looked.since, FOUND),
            needs: looked.needs,
            taken: looked.taken,
            wants: wants.map(|index| index as u32),
            keeps,
            text: wait.text(),
        })
    };
    let mut all: Vec<HostWait> = same
        .into_iter()
        .zip(kept_by)
        .filter_map(host_wait)
        .collect();
    let needed = |wait: &HostWait| match &wait.needs {
        Some(NeededProcesses::Each(processes) | NeededProcesses::Any(processes)) => {
            processes.clone()
        }
        _ => Vec::new(),
    };
    let needed: HashSet<u64> = all.iter().flat_map(needed).collect();
    // For others nobody waits. Most ranks of a large job that stands still are such.
    all.retain(|wait| !wait.keeps.is_empty() || needed.contains(&wait.process));
    HostLook {
        waits: all,
        tallies,
    }
}

/// The deadlocks of what all nodes have found, whose ranks do not know of them yet.
pub(crate) fn find(wants: &[Want], look: &HostLook) -> Vec<HostsDeadlock> {
    let (waits, leasts) = (&look.waits, leasts(wants, &look.tallies));
    let nodes = (waits.iter()).map(|wait| (wait.process, Node::of(wait, &leasts, waits)));
    let mut nodes: HashMap<u64, Node<'_>> = nodes.collect();
    remove_free(&mut nodes, Node::needs);
    let chosen = |process: u64| chosen(&nodes, process, Node::needs);
    let mut stuck: Vec<&HostWait> = nodes.values().map(|node| node.wait).collect();
    stuck.sort_unstable_by_key(|wait| (wait.rank, wait.process));
    let (mut seen, mut found) = (HashSet::<u64>::new(), Vec::new());
    for first in stuck {
        if seen.contains(&first.process) {
            continue;
        }
        let Some(circle) = circle(first.process, chosen) else {
            continue;
        };
        seen.extend(&circle.members);
        let wait = |process: &u64| nodes[process].wait;
        if circle.members.iter().any(|member| wait(member).is_found) {
            continue;
        }
        let line = |process: &u64| {
            let (wait, needed) = (wait(process), chosen(*process));
            Line {
                rank: wait.rank,
                wait: &wait.text,
                taken_at: match needed[..] {
                    [holder] => wait.taken_at(nodes[&holder].wait),
                    _ => None,
                },
                needed: needed
                    .iter()
                    .map(|needed| nodes[needed].wait.rank)
                    .collect(),
            }
        };
        found.push(HostsDeadlock {
            text: text(circle.all.iter().map(line).collect()),
            reporter: first.process,
            members: (circle.members.iter())
                .map(|member| (*member, wait(member).since))
                .collect(),
        });
    }
    found
}

/// How much of each want has to be kept by ranks that wait, so that it is not met. None if it may be met
/// in any case.
fn leasts(wants: &[Want], tallies: &[(u32, Tally)]) -> Vec<Option<u64>> {
    let mut sums = HashMap::<u32, Tally>::new();
    for (index, tally) in tallies {
        let sum = sums.get(index).map_or(*tally, |sum| sum.plus(*tally));
        sums.insert(*index, sum);
    }
    let least = |(index, want): (u32, &Want)| {
        if !want.what.needs_tally() {
            return Some(want.least);
        }
        let sum = sums.get(&index).filter(|sum| sum.holds_back())?;
        Some(want.least.saturating_sub(sum.never))
    };
    (0..).zip(wants).map(least).collect()
}

impl HostLook {
    /// Adds what another node has found.
    pub(crate) fn add(&mut self, other: HostLook) {
        self.waits.extend(other.waits);
        self.tallies.extend(other.tallies);
    }
}

impl HostWait {
    /// How much it keeps of the want of this index.
    fn kept(&self, want: u32) -> Option<&KeptWant> {
        self.keeps.iter().find(|kept| kept.want == want)
    }

    /// Where `holder` has taken what this one waits for.
    fn taken_at<'a>(&'a self, holder: &'a HostWait) -> Option<(&'a str, u32)> {
        let kept = self.wants.and_then(|want| holder.kept(want));
        let place = kept.and_then(|kept| kept.taken_at.as_ref());
        let place = place.map(|(file, line)| (&**file, *line));
        place.or_else(|| Taken::place_of(&self.taken, holder.process))
    }
}

/// A process that waits, with all that it needs.
struct Node<'a> {
    wait: &'a HostWait,
    needs: Vec<NeededProcesses>,
}

impl<'a> Node<'a> {
    fn needs(&self) -> &[NeededProcesses] {
        &self.needs
    }

    /// `leasts` are those of all wants.
    fn of(wait: &'a HostWait, leasts: &[Option<u64>], all: &[HostWait]) -> Self {
        let mut needs: Vec<NeededProcesses> = wait.needs.iter().cloned().collect();
        if let Some(index) = wait.wants
            && let Some(Some(least)) = leasts.get(index as usize)
        {
            let own = wait.kept(index).map_or(0, |kept| kept.amount);
            let others = all.iter().filter(|other| other.process != wait.process);
            let kept = others.filter_map(|other| Some((other.process, other.kept(index)?.amount)));
            let kept: Vec<(u64, u64)> = kept.collect();
            needs.push(match *least {
                1 => NeededProcesses::Each(kept.into_iter().map(|(process, _)| process).collect()),
                least => NeededProcesses::Amount {
                    kept,
                    least: least.saturating_sub(own),
                },
            });
        }
        Node { wait, needs }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shm::waiting::want::Wanted;

    const A: u32 = 0;
    const B: u32 = 1;

    fn wants(least: u64) -> Vec<Want> {
        let want = |object| Want {
            of: GlobalId {
                communicator: 7,
                object,
            },
            what: Wanted::Write,
            least,
        };
        vec![want(1), want(2)]
    }

    /// The wait of a rank that wants one thing and keeps some of others.
    fn wait(rank: u32, wants: Option<u32>, keeps: &[(u32, u64)]) -> HostWait {
        let kept = |&(want, amount): &(u32, u64)| KeptWant {
            want,
            amount,
            taken_at: Some(("src/main.rs".to_owned(), 10 + want)),
        };
        HostWait {
            process: u64::from(rank) + 100,
            since: u64::from(rank) + 1000,
            rank,
            is_found: false,
            needs: None,
            taken: Vec::new(),
            wants,
            keeps: keeps.iter().map(kept).collect(),
            text: "has waited for 1.0 s in `lock` of mutex".to_owned(),
        }
    }

    fn find_among(wants: &[Want], waits: &[HostWait]) -> Vec<HostsDeadlock> {
        let (waits, tallies) = (waits.to_vec(), Vec::new());
        find(wants, &HostLook { waits, tallies })
    }

    #[test]
    fn crossed_locks_are_a_deadlock_and_the_next_in_line_is_no_part_of_it() {
        let waits = [
            wait(3, Some(A), &[]),
            wait(1, Some(A), &[(B, 1)]),
            wait(0, Some(B), &[(A, 1)]),
        ];
        let text = "
rank 0 has waited for 1.0 s in `lock` of mutex, for rank 1, which took it at src/main.rs:11
rank 1 has waited for 1.0 s in `lock` of mutex, for rank 0, which took it at src/main.rs:10";
        let expected = HostsDeadlock {
            members: vec![(100, 1000), (101, 1001)],
            reporter: 100,
            text: text.to_owned(),
        };
        assert_eq!(find_among(&wants(1), &waits), [expected]);
        // One that keeps what it has, but may go on.
        assert!(find_among(&wants(1), &waits[1..2]).is_empty());
        assert!(
            find_among(
                &wants(1),
                &[wait(0, None, &[(A, 1)]), wait(1, Some(A), &[])]
            )
            .is_empty()
        );
    }

    #[test]
    fn a_deadlock_that_its_ranks_know_is_not_found_again() {
        let mut waits = [wait(0, Some(B), &[(A, 1)]), wait(1, Some(A), &[(B, 1)])];
        waits[1].is_found = true;
        assert!(find_among(&wants(1), &waits).is_empty());
    }

    #[test]
    fn a_circle_may_lead_over_ranks_of_one_host() {
        let mut waits = [
            wait(0, Some(A), &[]),
            wait(1, None, &[]),
            wait(2, None, &[(A, 1)]),
        ];
        waits[1].needs = Some(NeededProcesses::Each(vec![100]));
        waits[2].needs = Some(NeededProcesses::Any(vec![101]));
        let found = find_among(&wants(1), &waits);
        assert_eq!(found[0].members, [(100, 1000), (101, 1001), (102, 1002)]);
        // Also one of another may go on.
        waits[2].needs = Some(NeededProcesses::Any(vec![101, 105]));
        assert!(find_among(&wants(1), &waits).is_empty());
    }

    #[test]
    fn two_circles_are_two_deadlocks() {
        let mut waits = vec![wait(0, Some(B), &[(A, 1)]), wait(1, Some(A), &[(B, 1)])];
        let mut more = [wait(4, None, &[]), wait(5, None, &[])];
        more[0].needs = Some(NeededProcesses::Each(vec![105]));
        more[1].needs = Some(NeededProcesses::Each(vec![104]));
        waits.extend(more);
        let reporters = find_among(&wants(1), &waits);
        let reporters: Vec<u64> = reporters.iter().map(|found| found.reporter).collect();
        assert_eq!(reporters, [100, 104]);
    }

    #[test]
    fn permits_are_kept_together() {
        // Of three permits, two are wanted: two have to be kept, also by the one that wants them.
        let waits = [wait(0, Some(A), &[(A, 1)]), wait(1, Some(A), &[(A, 1)])];
        assert_eq!(find_among(&wants(2), &waits).len(), 1);
        assert!(find_among(&wants(3), &waits).is_empty());
        assert!(find_among(&wants(2), &waits[..1]).is_empty());
    }

    #[test]
    fn what_any_rank_can_give_needs_all_that_can() {
        // Of three ranks, one gives nothing any more, and two wait: for a message, and for a lock.
        let mut wants = wants(1);
        (wants[0].what, wants[0].least) = (Wanted::Message, 3);
        let waits = [wait(0, Some(A), &[(B, 1)]), wait(1, Some(B), &[(A, 1)])];
        let tally = |never, balance| Tally {
            never,
            balance: [balance, 0],
            is_still: true,
            is_idle: false,
        };
        let look = |waits: &[HostWait], tallies: &[Tally]| HostLook {
            waits: waits.to_vec(),
            tallies: tallies.iter().map(|tally| (A, *tally)).collect(),
        };
        let found = find(&wants, &look(&waits, &[tally(1, 5), tally(1, -5)]));
        assert_eq!(found[0].members, [(100, 1000), (101, 1001)]);
        // A message is under way, one more rank may give one, or a node does not know.
        for tallies in [
            &[tally(1, 5), tally(1, -4)][..],
            &[tally(1, 5), tally(0, -5)],
            &[],
        ] {
            assert!(find(&wants, &look(&waits, tallies)).is_empty());
        }
        // All that can give one wait for one, themselves.
        let itself = [wait(0, Some(A), &[(A, 1)])];
        assert!(find(&wants, &look(&itself, &[tally(2, 0)])).is_empty());
    }
}
