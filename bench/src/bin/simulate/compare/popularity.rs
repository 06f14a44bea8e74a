//! How often each item of many is chosen.

use crate::clock::Random;

/// The Zipf distribution: the item `i` (from 0) is chosen with a probability in proportion to
/// `1 / (i + 1)^exponent`. Drawn in constant time, as in Gray et al., "Quickly Generating
/// Billion-Record Synthetic Databases", SIGMOD 1994. With the exponent 0 all have the same chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zipf {
    items: u64,
    exponent: f64,
    /// The sum of all weights, and the weights of the first two.
    sum: f64,
    first_two: f64,
}

impl Zipf {
    /// A distribution over at least 1 item; the exponent is at least 0 and less than 1.
    pub(super) fn new(items: u64, exponent: f64) -> Self {
        let weight = |item: u64| (item as f64).powf(-exponent);
        Self {
            items,
            exponent,
            sum: (1..=items).map(weight).sum(),
            first_two: 1.0 + weight(2),
        }
    }

    pub(super) fn items(&self) -> u64 {
        self.items
    }

    pub(super) fn exponent(&self) -> f64 {
        self.exponent
    }

    /// Draws an item.
    pub(super) fn draw(&self, random: &mut Random) -> u64 {
        if self.exponent == 0.0 {
            return random.below(self.items);
        }
        let uniform = random.uniform();
        let weight = uniform * self.sum;
        if weight < 1.0 {
            return 0;
        }
        if weight < self.first_two {
            return 1.min(self.items - 1);
        }
        let items = self.items as f64;
        let rest = 1.0 - self.exponent;
        let eta = (1.0 - (2.0 / items).powf(rest)) / (1.0 - self.first_two / self.sum);
        let item = items * (eta * uniform - eta + 1.0).powf(1.0 / rest);
        (item as u64).min(self.items - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_drawn_in_proportion_to_their_weights() {
        const DRAWS: u32 = 200_000;
        for exponent in [0.0, 0.5, 0.99] {
            let zipf = Zipf::new(1_000, exponent);
            let mut random = Random(1);
            let mut counts = [0u32; 1_000];
            for _ in 0..DRAWS {
                counts[zipf.draw(&mut random) as usize] += 1;
            }
            let sum: f64 = (1..=1_000)
                .map(|item| f64::from(item).powf(-exponent))
                .sum();
            for (from, to) in [(0, 1), (1, 2), (2, 10), (10, 100), (100, 1_000)] {
                let drawn: u32 = counts[from..to].iter().sum();
                let weights: f64 = (from + 1..=to)
                    .map(|item| (item as f64).powf(-exponent))
                    .sum();
                let expected = weights / sum * f64::from(DRAWS);
                // The method is exact for the first two items, and close for the others.
                let tolerance = 0.12 * expected + 4.0 * expected.sqrt();
                assert!(
                    (f64::from(drawn) - expected).abs() < tolerance,
                    "{exponent}, items {from} to {to}: {drawn} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn one_item_is_always_drawn() {
        for exponent in [0.0, 0.99] {
            assert_eq!(Zipf::new(1, exponent).draw(&mut Random(1)), 0);
        }
    }
}
