//! The work: the behaviour of the logistic map `x → r x (1 − x)` for a parameter `r`.
//!
//! A few orbits with different starts are followed for some time. The visits to each part of the
//! range are counted, which gives the map's well-known diagram if drawn for all parameters. The
//! mean of `ln |r (1 − 2x)|`, the Lyapunov exponent, is the rate at which nearby orbits diverge. If
//! it is positive, the map is chaotic.

use mpisync::mpi::{collective::SystemOperation, topology::SimpleCommunicator, traits::*};

/// The number of orbits of all ranks of a worker together.
const ORBITS: usize = 8;
/// The number of parts of the range in which visits are counted.
const BINS: usize = 64;
/// The number of first steps of an orbit that are not counted.
const SETTLING: u64 = 1000;

/// The parameter of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// The parameter of the map.
    pub r: f64,
    /// The number of steps of an orbit.
    pub steps: u64,
}

/// The behaviour of the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The parameter for which it was computed.
    pub parameter: Parameter,
    /// The Lyapunov exponent.
    pub exponent: f64,
    /// The number of visits to each part of the range from 0 to 1.
    pub visits: Vec<u64>,
}

/// The part of an outcome that one rank computes.
#[derive(Clone, Default)]
struct Share {
    /// For each orbit the sum of the logarithms; 0 for the orbits of other ranks.
    sums: [f64; ORBITS],
    visits: Vec<u64>,
}

impl Parameter {
    /// The parameters are between 3.5, where the orbits alternate between four points, and 4, where
    /// they visit the whole range. The numbers of steps go up and down.
    pub fn of(task: usize, tasks: usize) -> Self {
        Parameter {
            r: 3.5 + 0.5 * (task as f64 + 0.5) / tasks as f64,
            steps: 30_000 * (1 + task as u64 * 7 % 10),
        }
    }

    /// The behaviour of the map, computed by all ranks of a worker together. Collective in the
    /// worker; the result is the same on all of its ranks and for any number of them.
    pub fn outcome_with(self, worker: &SimpleCommunicator) -> Outcome {
        let mine = self.share(worker.rank() as usize, worker.size() as usize);
        let mut all = Share {
            sums: [0.0; ORBITS],
            visits: vec![0; BINS],
        };
        let sum = SystemOperation::sum();
        worker.all_reduce_into(&mine.sums[..], &mut all.sums[..], sum);
        worker.all_reduce_into(&mine.visits[..], &mut all.visits[..], sum);
        self.outcome_of(all)
    }

    /// The same on one rank.
    pub fn outcome(self) -> Outcome {
        self.outcome_of(self.share(0, 1))
    }

    /// Follows each `ranks`-th orbit, from `rank` on.
    fn share(self, rank: usize, ranks: usize) -> Share {
        let mut share = Share {
            sums: [0.0; ORBITS],
            visits: vec![0; BINS],
        };
        for orbit in (rank..ORBITS).step_by(ranks) {
            // At most a half: x and 1 − x have the same orbit.
            let start = (orbit + 1) as f64 / (2 * (ORBITS + 1)) as f64;
            share.sums[orbit] = self.follow(start, &mut share.visits);
        }
        share
    }

    /// Follows an orbit and counts its visits. Returns the sum of the logarithms.
    fn follow(self, start: f64, visits: &mut [u64]) -> f64 {
        let r = self.r;
        let mut x = start;
        for _ in 0..SETTLING {
            x = r * x * (1.0 - x);
        }
        let mut sum = 0.0;
        for _ in 0..self.steps {
            x = r * x * (1.0 - x);
            sum += (r * (1.0 - 2.0 * x)).abs().ln();
            visits[(x * BINS as f64) as usize] += 1;
        }
        sum
    }

    /// Adds up the orbits in an order that does not depend on the ranks that followed them.
    fn outcome_of(self, share: Share) -> Outcome {
        let steps = ORBITS as f64 * self.steps as f64;
        Outcome {
            parameter: self,
            exponent: share.sums.iter().sum::<f64>() / steps,
            visits: share.visits,
        }
    }
}

impl Outcome {
    /// Whether it is the same. The last digits of a logarithm may differ between processors.
    pub fn is_close_to(&self, other: &Outcome) -> bool {
        let is_close = (self.exponent - other.exponent).abs() < 1e-12;
        is_close && self.parameter == other.parameter && self.visits == other.visits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_chaotic_or_not() {
        let at = |r| Parameter { r, steps: 10_000 }.outcome();
        // A cycle of four points; one of three points in the window behind the chaos; chaos.
        for (r, points) in [(3.5, 4), (3.83, 3)] {
            let cycle = at(r);
            assert!(cycle.exponent < -0.3);
            assert_eq!(
                cycle.visits.iter().filter(|&&visits| visits > 0).count(),
                points
            );
        }
        // Known to be ln 2 for r = 4.
        let chaos = at(4.0 - 1e-9);
        assert!((chaos.exponent - 2_f64.ln()).abs() < 0.01);
        assert_eq!(chaos.visits.iter().sum::<u64>(), 80_000);
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        let parameter = Parameter {
            r: 3.9,
            steps: 1000,
        };
        for ranks in [1, 2, 3, 8, 9] {
            let mut all = parameter.share(0, ranks);
            for rank in 1..ranks {
                let more = parameter.share(rank, ranks);
                (0..ORBITS).for_each(|i| all.sums[i] += more.sums[i]);
                (0..BINS).for_each(|i| all.visits[i] += more.visits[i]);
            }
            assert_eq!(parameter.outcome_of(all), parameter.outcome());
        }
    }
}
