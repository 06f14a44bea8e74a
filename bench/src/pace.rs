//! Repeats an operation: until a moment, with few enough reads of the clock to keep their cost out
//! of the figures, or as often as probably fills the time.

use std::time::Duration;

use crate::clock;

/// The operations of one rank in a round.
#[derive(Clone, Copy, Debug)]
pub struct Laps {
    /// The number of operations.
    pub operations: u64,
    /// When the last one ended.
    pub end: u64,
}

/// A shorter batch is doubled. Reading the clock takes about 25 ns, so it stays below 1 %.
const SHORT: u64 = 5_000;
/// A longer batch is halved, because a rank exceeds its end by about one batch.
const LONG: u64 = 40_000;

/// Repeats `operation` until the clock reaches `deadline`, at least once.
///
/// The clock is read once per batch. Batches start at one operation and grow or shrink to a few
/// microseconds, whatever the duration of the operation.
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

/// This number of operations, the last of which ends now.
pub fn until_now(operations: u64) -> Laps {
    Laps {
        operations,
        end: clock::now(),
    }
}

/// The number of operations of a round, for operations of all ranks together that no rank can stop
/// by itself. It is chosen to fill the round, from the duration of the operations in the previous
/// round.
#[derive(Debug, Default)]
pub struct Pace {
    /// Nanoseconds per operation in the previous round, the same on all ranks.
    took: Option<f64>,
}

impl Pace {
    /// Runs a round of about this length. `operations` runs the given number of operations and
    /// returns nanoseconds per operation, the same on all ranks.
    pub fn round(&mut self, length: Duration, mut operations: impl FnMut(u64) -> f64) -> f64 {
        /// The number of operations of the first round.
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

/// The number of operations that take `nanos` nanoseconds each and fit into a round, at least one.
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
