//! The work: what the logistic map `x → r x (1 − x)` does for a parameter `r`.
//!
//! A few orbits from different starts are followed for some time. Counted is how often they come by where, which drawn for
//! all parameters is the map's well-known diagram; and the mean of `ln |r (1 − 2x)|`, the Lyapunov exponent, tells how fast
//! orbits that are close to each other part. Where it is positive, the map is chaotic.

use mpisync::mpi::{collective::SystemOperation, topology::SimpleCommunicator, traits::*};

/// How many orbits are followed, by all ranks of a worker together.
const ORBITS: usize = 8;
/// In how many parts the places are counted.
const BINS: usize = 64;
/// How many steps an orbit has for finding to where it stays.
const SETTLING: u64 = 1000;

/// The parameter of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// The parameter of the map.
    pub r: f64,
    /// How many steps an orbit is followed.
    pub steps: u64,
}

/// What the map does.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// For what parameter.
    pub parameter: Parameter,
    /// The Lyapunov exponent.
    pub exponent: f64,
    /// How often the orbits came by in each part of what lies between 0 and 1.
    pub visits: Vec<u64>,
}

/// What a rank finds out of it.
#[derive(Clone, Default)]
struct Share {
    /// For each orbit the sum of the logarithms; 0 for those of other ranks.
    sums: [f64; ORBITS],
    visits: Vec<u64>,
}

impl Parameter {
    /// The parameters lie between 3.5, where the orbits come by at four points, and 4, where they come by everywhere. The
    /// numbers of steps go up and down.
    pub fn of(task: usize, tasks: usize) -> Self {
        Parameter {
            r: 3.5 + 0.5 * (task as f64 + 0.5) / tasks as f64,
            steps: 30_000 * (1 + task as u64 * 7 % 10),
        }
    }

    /// What the map does, found out by all ranks of a worker together. Collective in it; the same on all of its ranks,
    /// however many they are.
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

    /// Follows every how-many-eth orbit.
    fn share(self, rank: usize, ranks: usize) -> Share {
        let mut share = Share {
            sums: [0.0; ORBITS],
            visits: vec![0; BINS],
        };
        for orbit in (rank..ORBITS).step_by(ranks) {
            // Not beyond a half: x and 1 − x have the same orbit.
            let start = (orbit + 1) as f64 / (2 * (ORBITS + 1)) as f64;
            share.sums[orbit] = self.follow(start, &mut share.visits);
        }
        share
    }

    /// Follows an orbit, and counts where it comes by; the sum of the logarithms.
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

    /// Adds the orbits up in an order that does not depend on who followed them.
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
    /// Whether it is the same. The last digits of a logarithm may be those of another processor.
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
