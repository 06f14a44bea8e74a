//! Repeats an operation until a moment, reading the clock seldom enough not to be measured itself.

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::time::Duration;

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
}
