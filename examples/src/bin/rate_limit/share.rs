//! The share of each rank in the service.

use std::{iter::Sum, time::Duration};

/// The length of the longest bar in characters.
const WIDTH: usize = 32;

/// The share of one rank in the service.
#[derive(Clone, Copy, Default, mpisync::Equivalence)]
pub struct Share {
    /// The number of its answers.
    pub answers: u64,
    /// The sum of the numbers in them.
    pub sum: u64,
    /// The number of its refusals.
    pub refused: u64,
    /// Seconds of waiting before the requests that were answered.
    waited: f64,
    /// Seconds from these requests to the answers.
    in_service: f64,
}

impl Share {
    /// Adds an answer, the wait before its request, and the time from the request to the answer.
    pub fn add(&mut self, answer: u64, waited: Duration, in_service: Duration) {
        self.answers += 1;
        self.sum += answer;
        self.waited += waited.as_secs_f64();
        self.in_service += in_service.as_secs_f64();
    }

    /// A line of the table.
    fn line(&self, name: &str) -> String {
        format!(
            "{name:>4}{:>10}{:>10}{:>12}{:>12}",
            self.answers,
            self.refused,
            in_ms(self.waited),
            in_ms(self.in_service)
        )
    }

    /// A bar of its time in service and its waiting time.
    fn bar(&self, took: Duration) -> String {
        let until = |time: f64| (time / took.as_secs_f64() * WIDTH as f64).round() as usize;
        let in_service = until(self.in_service);
        let waited = until(self.in_service + self.waited) - in_service;
        format!("{}{}", "█".repeat(in_service), "░".repeat(waited))
    }
}

impl Sum for Share {
    fn sum<I: Iterator<Item = Self>>(shares: I) -> Self {
        shares.fold(Share::default(), |all, share| Share {
            answers: all.answers + share.answers,
            sum: all.sum + share.sum,
            refused: all.refused + share.refused,
            waited: all.waited + share.waited,
            in_service: all.in_service + share.in_service,
        })
    }
}

/// A table of the shares of all ranks, which took this time together.
pub fn table(shares: &[Share], took: Duration) -> String {
    let mut table = format!(
        "{:>4}{:>10}{:>10}{:>12}{:>12}  █ in service ░ waiting\n",
        "rank", "answers", "refused", "waited", "in service"
    );
    for (rank, share) in shares.iter().enumerate() {
        let line = share.line(&rank.to_string());
        table += &format!("{line}  {}\n", share.bar(took));
    }
    let all: Share = shares.iter().copied().sum();
    table + &all.line("all") + "\n"
}

fn in_ms(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_each_rank_and_all() {
        let ms = Duration::from_millis;
        let mut shares = [Share::default(); 2];
        shares[0].add(4, ms(0), ms(50));
        shares[0].add(9, ms(25), ms(25));
        shares[1].add(1, ms(75), ms(25));
        shares[1].refused = 3;
        let all: Share = shares.iter().copied().sum();
        assert_eq!((all.answers, all.sum, all.refused), (3, 14, 3));
        let expected = "\
rank   answers   refused      waited  in service  █ in service ░ waiting
   0         2         0       25 ms       75 ms  ████████████████████████░░░░░░░░
   1         1         3       75 ms       25 ms  ████████░░░░░░░░░░░░░░░░░░░░░░░░
 all         3         3      100 ms      100 ms
";
        assert_eq!(table(&shares, ms(100)), expected);
    }
}
