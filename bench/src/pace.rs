//! Repeats an operation until a moment, reading the clock seldom enough not to be measured itself; or as often as is likely
//! to fill the time.

use std::time::Duration;

use crate::clock;

/// What one rank did in a round.
#[derive(Clone, Copy, Debug)]
pub struct Laps {
    /// How often the operation ran.
    pub operations: u64,
    /// When the last one was over.
    pub end: u64,
}

/// A batch shorter than this is doubled: reading the clock takes about 25 ns, so it stays below 1 %.
const SHORT: u64 = 5_000;
/// A batch longer than this is halved: a rank runs over its end by about one batch.
const LONG: u64 = 40_000;

/// Runs `operation` again and again until the clock says `deadline`, at least once.
///
/// The clock is read once a batch. Batches start at one operation and grow or shrink to a few
/// microseconds, whatever the operation takes.
pub fn repeat_until(deadline: u64, mut operation: impl FnMut()) -> Laps {
    let mut operations = 0;
    let mut batch: u64 = 1;
    let mut before = clock::now();
    loop {
        for _ in 0..batch {
            operation();
        }
        operations += batch;
        let end = clock::now();
        if end >= deadline {
            return Laps { operations, end };
        }
        batch = match end - before {
            0..SHORT => batch * 2,
            SHORT..=LONG => batch,
            _ => (batch / 2).max(1),
        };
        before = end;
    }
}

/// So many operations, and this rank is done now.
pub fn until_now(operations: u64) -> Laps {
    Laps {
        operations,
        end: clock::now(),
    }
}

/// How often ranks do together what none of them can stop doing by itself: as often as fills a round, going by how long it
/// took in the round before.
#[derive(Debug, Default)]
pub struct Pace {
    /// Nanoseconds an operation in the round before, the same on all ranks.
    took: Option<f64>,
}

impl Pace {
    /// Runs a round of about this length. `operations` goes through so many operations, and tells nanoseconds each, the same
    /// on all ranks.
    pub fn round(&mut self, length: Duration, mut operations: impl FnMut(u64) -> f64) -> f64 {
        /// Operations before there is any figure to go by.
        const FIRST: u64 = 4;
        let before = match self.took {
            Some(took) => took,
            None => operations(FIRST),
        };
        let took = operations(fitting(length, before));
        self.took = Some(took);
        took
    }
}

/// How many operations of so many nanoseconds a round has, one at least.
fn fitting(length: Duration, nanos: f64) -> u64 {
    ((length.as_nanos() as f64 / nanos) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn counts_every_operation() {
        let mut ran = 0;
        let deadline = clock::now() + 2_000_000;
        let laps = repeat_until(deadline, || ran += black_box(1));
        assert_eq!(laps.operations, ran);
        assert!(laps.end >= deadline);
    }

    #[test]
    fn runs_once_when_the_deadline_is_over() {
        assert_eq!(repeat_until(0, || ()).operations, 1);
    }

    #[test]
    fn slow_operations_do_not_run_far_over_the_end() {
        let deadline = clock::now() + 3_000_000;
        let laps = repeat_until(deadline, || std::thread::sleep(Duration::from_millis(1)));
        assert!(laps.end >= deadline);
        assert!(
            laps.operations <= 3,
            "{} operations of 1 ms in 3 ms",
            laps.operations
        );
    }

    #[test]
    fn a_round_has_as_many_operations_as_fit() {
        let length = Duration::from_millis(80);
        assert_eq!(fitting(length, 1e3), 80_000);
        assert_eq!(fitting(length, 1e12), 1);
    }

    #[test]
    fn a_round_goes_by_the_one_before() {
        let mut counts = Vec::new();
        let mut pace = Pace::default();
        for nanos in [100.0, 200.0] {
            let round = pace.round(Duration::from_micros(1), |count| {
                counts.push(count);
                nanos
            });
            assert_eq!(round, nanos);
        }
        assert_eq!(counts, [4, 10, 10]);
    }
}
