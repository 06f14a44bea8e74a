//! How much of its time a rank lost in each of its waits.

use crate::job::Seen;

/// A part of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The index of the wait.
    pub wait: usize,
    /// When the part begins.
    pub begin: u64,
    /// When it ends.
    pub end: u64,
}

/// The parts of these waits in which the rank waited for nothing else. The waits are in the order
/// of their beginnings.
///
/// Waits of a rank may overlap, such as one that is a part of another. Each moment counts for one of
/// them only, so that the sum is the time in which the rank waited: for the one that began last of
/// those that know who kept them, and else for the one that began last.
pub fn parts(waits: &[Seen]) -> Vec<Part> {
    let mut sweep = Sweep {
        waits,
        parts: Vec::with_capacity(waits.len()),
        open: Vec::new(),
        now: 0,
    };
    for (index, wait) in waits.iter().enumerate() {
        sweep.advance(wait.begin);
        sweep.open.push(index);
    }
    sweep.advance(u64::MAX);
    // Several parts of a wait follow each other.
    sweep.parts.sort_by_key(|part| part.wait);
    sweep.parts
}

struct Sweep<'a> {
    waits: &'a [Seen],
    parts: Vec<Part>,
    /// The waits that have not ended, in the order of their beginnings.
    open: Vec<usize>,
    now: u64,
}

impl Sweep<'_> {
    /// Counts the time up to this one.
    fn advance(&mut self, to: u64) {
        while let Some(next) = self.open.iter().map(|it| self.waits[*it].end).min() {
            let until = next.min(to);
            if let Some(wait) = self.counts().filter(|_| until > self.now) {
                self.parts.push(Part {
                    wait,
                    begin: self.now,
                    end: until,
                });
            }
            self.now = self.now.max(until);
            if next > to {
                break;
            }
            self.open.retain(|it| self.waits[*it].end > next);
        }
        self.now = self.now.max(to);
    }

    /// The wait for which this moment counts.
    fn counts(&self) -> Option<usize> {
        let is_known = |it: &&usize| {
            let wait = &self.waits[**it];
            wait.keeper.is_some() || wait.keeper_place.is_some()
        };
        let known = self.open.iter().rev().find(is_known);
        known.or(self.open.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpisync::inspect::trace::{Activity, Outcome};

    fn wait(begin: u64, end: u64, keeper: Option<u32>) -> Seen {
        Seen {
            site: 0,
            activity: Activity::Wait,
            outcome: Outcome::Success,
            begin,
            end,
            is_open: false,
            keeper,
            keeper_place: None,
            task: None,
        }
    }

    /// How long the rank waited in each of these waits.
    fn lost(waits: &[Seen]) -> Vec<u64> {
        let mut lost = vec![0; waits.len()];
        for part in parts(waits) {
            lost[part.wait] += part.end - part.begin;
        }
        lost
    }

    #[test]
    fn a_moment_counts_once() {
        let apart = [wait(0, 10, None), wait(20, 25, None)];
        assert_eq!(lost(&apart), [10, 5]);
        let nested = [wait(0, 10, None), wait(2, 5, None), wait(3, 4, None)];
        assert_eq!(lost(&nested), [7, 2, 1]);
        let overlapping = [wait(0, 10, None), wait(5, 15, None), wait(15, 16, None)];
        assert_eq!(lost(&overlapping), [5, 10, 1]);
        let empty = [wait(3, 3, None), wait(3, 3, None)];
        assert_eq!(lost(&empty), [0, 0]);
    }

    #[test]
    fn the_wait_that_knows_its_keeper_counts() {
        let inner_unknown = [wait(0, 10, Some(1)), wait(2, 5, None)];
        assert_eq!(lost(&inner_unknown), [10, 0]);
        let both_known = [wait(0, 10, Some(1)), wait(2, 5, Some(2))];
        assert_eq!(lost(&both_known), [7, 3]);
        let outer_unknown = [wait(0, 10, None), wait(1, 10, Some(1))];
        assert_eq!(lost(&outer_unknown), [1, 9]);
    }
}
