//! How many tasks `mpisync-batch status` names.

use mpisync::batch::Summary;

/// The title, the bar, the numbers in five states, and the rate.
const HEAD: usize = 8;
/// Of a list: an empty line, its title, and how many more there are.
const LIST: usize = 3;

/// The most tasks of each list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub running: usize,
    pub failed: usize,
    pub invalid: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            running: 20,
            failed: 10,
            invalid: 10,
        }
    }
}

impl Limits {
    /// As many as there is room for in this number of lines, where each task takes one. A list that
    /// needs less leaves its room to the others.
    pub fn within(lines: usize, now: &Summary) -> Self {
        let numbers = [now.running, now.failed, now.invalid];
        let lists = numbers.iter().filter(|number| **number > 0).count();
        let room = lines.saturating_sub(HEAD + lists * LIST);
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let [running, failed, invalid] = numbers.map(number);
        let most = Limits::default();
        let mut limits = Limits {
            running: 0,
            failed: 0,
            invalid: 0,
        };
        // One line after the other goes to the lists in turn.
        let mut left = room;
        while left > 0 {
            let before = left;
            for (limit, need) in [
                (&mut limits.running, running.min(most.running)),
                (&mut limits.failed, failed.min(most.failed)),
                (&mut limits.invalid, invalid.min(most.invalid)),
            ] {
                if *limit < need && left > 0 {
                    *limit += 1;
                    left -= 1;
                }
            }
            if left == before {
                break;
            }
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(lines: usize, running: u64, failed: u64, invalid: u64) -> [usize; 3] {
        let now = Summary {
            running,
            failed,
            invalid,
            ..Summary::default()
        };
        let limits = Limits::within(lines, &now);
        [limits.running, limits.failed, limits.invalid]
    }

    #[test]
    fn lists_share_the_room() {
        assert_eq!(within(23, 50, 50, 50), [2, 2, 2]);
        assert_eq!(within(23, 50, 1, 0), [8, 1, 0]);
        assert_eq!(within(23, 0, 50, 0), [0, 10, 0]);
        assert_eq!(within(100, 50, 50, 50), [20, 10, 10]);
        assert_eq!(within(10, 50, 50, 50), [0, 0, 0]);
        assert_eq!(within(23, 0, 0, 0), [0, 0, 0]);
    }
}
