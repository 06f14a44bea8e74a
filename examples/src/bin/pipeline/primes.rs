//! The primes in a range: two ways to find them, and their statistics.

/// Statistics of the primes in a range.
///
/// Zero means that there are none. Two adjacent ranges can be [joined](Primes::join).
#[derive(Clone, Copy, Debug, Default, PartialEq, mpisync::Equivalence)]
pub struct Primes {
    /// The number of primes.
    pub count: u64,
    /// The first one.
    first: u64,
    /// The last one.
    last: u64,
    /// The longest gap between two consecutive primes.
    pub gap: u64,
    /// The prime before the gap.
    pub before_gap: u64,
}

impl Primes {
    /// Tries all divisors, which takes time.
    pub fn search(from: u64, below: u64) -> Self {
        (from..below).filter(|&n| is_prime(n)).collect()
    }

    /// Crosses out multiples, in memory for all numbers from 0: the reference for comparison.
    pub fn sieve(below: u64) -> Self {
        let below = below as usize;
        let mut is_crossed_out = vec![false; below];
        for n in (2..).take_while(|n| n * n < below) {
            if !is_crossed_out[n] {
                (n * n..below)
                    .step_by(n)
                    .for_each(|multiple| is_crossed_out[multiple] = true);
            }
        }
        let primes = (2..below).filter(|&n| !is_crossed_out[n]);
        primes.map(|n| n as u64).collect()
    }

    /// The statistics of this range and the next one together.
    pub fn join(self, behind: Self) -> Self {
        if self.count == 0 || behind.count == 0 {
            return if self.count == 0 { behind } else { self };
        }
        // Of gaps of the same length, the first one.
        let between = (behind.first - self.last, self.last);
        let (mut gap, mut before_gap) = (self.gap, self.before_gap);
        for (other, before_other) in [between, (behind.gap, behind.before_gap)] {
            if other > gap {
                (gap, before_gap) = (other, before_other);
            }
        }
        Primes {
            count: self.count + behind.count,
            first: self.first,
            last: behind.last,
            gap,
            before_gap,
        }
    }
}

impl FromIterator<u64> for Primes {
    /// From primes in ascending order.
    fn from_iter<I: IntoIterator<Item = u64>>(primes: I) -> Self {
        let one = |prime| Primes {
            count: 1,
            first: prime,
            last: prime,
            ..Primes::default()
        };
        let primes = primes.into_iter().map(one);
        primes.fold(Primes::default(), Primes::join)
    }
}

fn is_prime(n: u64) -> bool {
    let mut divisors = (2..).take_while(|divisor| divisor * divisor <= n);
    n >= 2 && divisors.all(|divisor| !n.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_primes() {
        let primes = Primes::search(0, 30); // 2 3 5 7 11 13 17 19 23 29
        assert_eq!((primes.count, primes.first, primes.last), (10, 2, 29));
        assert_eq!((primes.gap, primes.before_gap), (6, 23));
    }

    #[test]
    fn both_ways_find_the_same() {
        for below in (0..200).chain([10_000]) {
            assert_eq!(Primes::search(0, below), Primes::sieve(below), "{below}");
        }
        assert_eq!(Primes::sieve(10_000).count, 1229);
    }

    #[test]
    fn ranges_are_joined_whatever_their_length() {
        for length in 1..50 {
            let ranges = (0..1000).step_by(length);
            let joined = ranges
                .map(|from| Primes::search(from, (from + length as u64).min(1000)))
                .fold(Primes::default(), Primes::join);
            assert_eq!(joined, Primes::sieve(1000), "{length}");
        }
    }
}
