//! The ranks of a host, in errors.

use std::fmt;

/// The ranks of a host, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HostRanks {
    pub(crate) first: i32,
    pub(crate) last: i32,
    pub(crate) count: i32,
}

impl HostRanks {
    /// The lowest rank, which is the host's leader.
    pub fn leader(&self) -> i32 {
        self.first
    }

    /// How many ranks the host has.
    pub fn count(&self) -> i32 {
        self.count
    }
}

/// Shows all ranks if they are consecutive, or else the lowest, the highest and their number.
impl fmt::Display for HostRanks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HostRanks { first, last, count } = self;
        if first == last {
            return write!(f, "rank {first}");
        }
        if last - first + 1 == *count {
            return write!(f, "ranks {first} to {last}");
        }
        write!(f, "{count} ranks between {first} and {last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_a_host_are_named() {
        let text = |first, last, count| HostRanks { first, last, count }.to_string();
        assert_eq!(text(4, 4, 1), "rank 4");
        assert_eq!(text(4, 7, 4), "ranks 4 to 7");
        assert_eq!(text(1, 7, 4), "4 ranks between 1 and 7");
    }
}
