//! The graph of processes that wait for each other.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// The most ranks that a text describes.
const MOST: usize = 16;

/// The processes that have to go on before a wait can end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NeededProcesses {
    /// Each of these, and perhaps more.
    Each(Vec<u64>),
    /// One of these, and no others.
    Any(Vec<u64>),
    /// The wait does not end while these processes together keep at least this much.
    Amount { kept: Vec<(u64, u64)>, least: u64 },
}

impl NeededProcesses {
    /// Whether a wait cannot end while none of `nodes` goes on.
    fn hold_back<N>(&self, nodes: &HashMap<u64, N>) -> bool {
        match self {
            NeededProcesses::Each(processes) => processes.iter().any(|one| nodes.contains_key(one)),
            NeededProcesses::Any(processes) => {
                !processes.is_empty() && processes.iter().all(|one| nodes.contains_key(one))
            }
            NeededProcesses::Amount { kept, least } => {
                let inside = kept
                    .iter()
                    .filter(|(process, _)| nodes.contains_key(process));
                let amounts: Vec<u64> = inside.map(|(_, amount)| *amount).collect();
                !amounts.is_empty() && amounts.iter().sum::<u64>() >= *least
            }
        }
    }

    /// Those of `nodes` without which the wait does not end: one of several that it all needs.
    fn chosen<N>(&self, nodes: &HashMap<u64, N>) -> Vec<u64> {
        match self {
            NeededProcesses::Each(processes) => {
                let stuck = processes.iter().find(|one| nodes.contains_key(one));
                stuck.copied().into_iter().collect()
            }
            NeededProcesses::Any(processes) => processes.clone(),
            NeededProcesses::Amount { kept, .. } => {
                let inside = kept
                    .iter()
                    .filter(|(process, _)| nodes.contains_key(process));
                inside.map(|(process, _)| *process).collect()
            }
        }
    }
}

/// Removes all processes that may go on. Each of the `needs` of a process has to be met before its wait
/// ends.
pub(super) fn remove_free<N>(
    nodes: &mut HashMap<u64, N>,
    needs: impl Fn(&N) -> &[NeededProcesses],
) {
    loop {
        let is_stuck = |node: &N| needs(node).iter().any(|needed| needed.hold_back(nodes));
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
pub(super) fn chosen<N>(
    nodes: &HashMap<u64, N>,
    process: u64,
    needs: impl Fn(&N) -> &[NeededProcesses],
) -> Vec<u64> {
    let node = nodes.get(&process);
    let mut all = node.into_iter().flat_map(needs);
    let stuck = all.find(|needed| needed.hold_back(nodes));
    stuck.map_or_else(Vec::new, |needed| needed.chosen(nodes))
}

/// All processes that `process` leads to.
pub(super) fn reach(process: u64, chosen: impl Fn(u64) -> Vec<u64>) -> BTreeSet<u64> {
    let mut reached = BTreeSet::new();
    let mut next = chosen(process);
    while let Some(process) = next.pop() {
        if reached.insert(process) {
            next.extend(chosen(process));
        }
    }
    reached
}

/// The processes of the circles that `process` is in. None if it is in none.
pub(super) fn circle(process: u64, chosen: impl Fn(u64) -> Vec<u64>) -> Option<Circle> {
    let all = reach(process, &chosen);
    if !all.contains(&process) {
        return None;
    }
    let leads_back = |other: &u64| *other == process || reach(*other, &chosen).contains(&process);
    Some(Circle {
        members: all.iter().copied().filter(leads_back).collect(),
        all,
    })
}

/// Processes that wait for each other.
pub(super) struct Circle {
    /// Those that each other one of them leads to.
    pub(super) members: Vec<u64>,
    /// All that they lead to.
    pub(super) all: BTreeSet<u64>,
}

/// What a text says of one of several ranks that wait for each other.
pub(super) struct Line<'a> {
    pub(super) rank: u32,
    /// What it waits in.
    pub(super) wait: &'a str,
    /// The ranks that it waits for.
    pub(super) needed: Vec<u32>,
    /// Where the only one of them has taken what this rank waits for.
    pub(super) taken_at: Option<(&'a str, u32)>,
}

/// A line for each rank.
pub(super) fn text(mut lines: Vec<Line<'_>>) -> String {
    lines.sort_by_key(|line| line.rank);
    let mut text = String::new();
    for Line {
        rank,
        wait,
        needed,
        taken_at,
    } in lines.iter().take(MOST)
    {
        let _ = write!(text, "\nrank {rank} {wait}, for ");
        let _ = match needed[..] {
            [rank] => write!(text, "rank {rank}"),
            _ => write!(text, "any of the ranks {needed:?}"),
        };
        if let Some((file, line)) = taken_at {
            let _ = write!(text, ", which took it at {file}:{line}");
        }
    }
    if let Some(more) = lines.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = write!(text, "\nand {more} more ranks");
    }
    text
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::NeededProcesses::{Amount, Any, Each};
    use super::*;
    use std::slice;

    /// The processes that remain of these.
    fn stuck(nodes: &[(u64, NeededProcesses)]) -> Vec<u64> {
        let mut nodes: HashMap<u64, NeededProcesses> = nodes.iter().cloned().collect();
        remove_free(&mut nodes, slice::from_ref);
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
        let circle = |from| circle(from, |process| chosen(&nodes, process, slice::from_ref));
        assert_eq!(circle(1).map(|circle| circle.members), Some(vec![1, 2, 3]));
        assert!(circle(4).is_none());
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

    #[test]
    fn what_the_stuck_ones_keep_has_to_be_enough() {
        let amount = |least| Amount {
            kept: vec![(2, 1), (3, 2)],
            least,
        };
        let (two, three) = (Each(vec![1]), Each(vec![1]));
        let all = |least| [(1, amount(least)), (2, two.clone()), (3, three.clone())];
        assert_eq!(stuck(&all(3)), [1, 2, 3]);
        assert!(stuck(&all(4)).is_empty());
        // The third may go on, and what the second keeps is not enough.
        assert!(stuck(&all(3)[..2]).is_empty());
        assert_eq!(stuck(&all(1)[..2]), [1, 2]);
        assert!(stuck(&[(1, amount(0))]).is_empty());
    }
}
