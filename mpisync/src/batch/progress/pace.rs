//! How fast it goes, how long it will take, and how that is said.

use crate::batch::Summary;
use std::time::Duration;

/// What has been done since the progress began. What was done before does not count: a batch that
/// goes on where another job left off is not faster for that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) first: Summary,
}

impl Pace {
    /// How many tasks a second came to an end; `None` as long as there are none.
    fn rate(&self, now: &Summary, elapsed: Duration) -> Option<f64> {
        // Each for itself, for a task that had failed and is done now has been run. One that cannot be run has not.
        let done = now.done.saturating_sub(self.first.done);
        let failed = now.failed.saturating_sub(self.first.failed);
        let rate = (done + failed) as f64 / elapsed.as_secs_f64();
        (rate.is_finite() && rate > 0.0).then_some(rate)
    }

    /// How long the others will take at that rate.
    fn time_left(&self, now: &Summary, elapsed: Duration) -> Option<Duration> {
        let left = (now.open + now.running) as f64;
        Duration::try_from_secs_f64(left / self.rate(now, elapsed)?).ok()
    }

    /// The rate, and the time left, or the time that it took where `is_last`. Begins with
    /// `separator` where there is anything to say.
    pub(super) fn text(
        &self,
        now: &Summary,
        elapsed: Duration,
        is_last: bool,
        separator: &str,
    ) -> String {
        let rate = self.rate(now, elapsed).map(in_words_rate);
        let time = match is_last {
            true => Some(format!("after {}", in_words(elapsed))),
            false => {
                let left = self.time_left(now, elapsed);
                left.map(|left| format!("{} left", in_words(left)))
            }
        };
        let parts: Vec<String> = [rate, time].into_iter().flatten().collect();
        match parts.is_empty() {
            true => String::new(),
            false => format!("{separator}{}", parts.join(", ")),
        }
    }
}

/// How many tasks are what; those that are open are what is left of the total.
pub(super) fn counts(now: &Summary) -> String {
    let Summary {
        done,
        failed,
        running,
        invalid,
        ..
    } = now;
    let mut text = format!("{done} done, {failed} failed, {running} running");
    if *invalid > 0 {
        text += &format!(", {invalid} invalid");
    }
    text
}

fn in_words_rate(rate: f64) -> String {
    /// What can be told from nothing with one decimal.
    const LEAST: f64 = 0.1;
    match rate {
        10.0.. => format!("{rate:.0}/s"),
        LEAST.. => format!("{rate:.1}/s"),
        _ if rate * 60.0 >= LEAST => format!("{:.1}/min", rate * 60.0),
        _ => format!("{:.1}/h", rate * 3600.0),
    }
}

/// The two largest units of it.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn summary(open: u64, running: u64, done: u64, failed: u64) -> Summary {
        Summary {
            open,
            running,
            done,
            failed,
            invalid: 0,
        }
    }

    #[test]
    fn only_what_was_done_since_counts() {
        let pace = Pace {
            first: summary(100, 0, 900, 50),
        };
        assert_eq!(pace.rate(&pace.first, 10 * SECOND), None);
        assert_eq!(pace.time_left(&pace.first, 10 * SECOND), None);
        let now = summary(70, 10, 915, 55);
        assert_eq!(pace.rate(&now, 10 * SECOND), Some(2.0));
        assert_eq!(pace.time_left(&now, 10 * SECOND), Some(40 * SECOND));
        assert_eq!(pace.rate(&now, Duration::ZERO), None);
    }

    #[test]
    fn what_had_failed_and_is_done_counts_and_what_was_opened_again_does_not() {
        let pace = Pace {
            first: summary(0, 0, 10, 5),
        };
        assert_eq!(pace.rate(&summary(0, 1, 12, 2), SECOND), Some(2.0));
        let opened = summary(15, 0, 0, 0);
        assert_eq!(pace.rate(&opened, SECOND), None);
        let invalid = Summary {
            invalid: 5,
            failed: 0,
            ..pace.first
        };
        assert_eq!(pace.rate(&invalid, SECOND), None);
    }

    #[test]
    fn an_estimate_beyond_all_times_is_none() {
        let pace = Pace {
            first: summary(u64::MAX - 1, 0, 0, 0),
        };
        let now = summary(u64::MAX - 2, 0, 1, 0);
        assert_eq!(pace.time_left(&now, Duration::MAX), None);
        assert_eq!(pace.text(&now, Duration::MAX, false, "; "), "; 0.0/h");
    }

    #[test]
    fn it_says_what_it_knows() {
        let pace = Pace {
            first: summary(10, 0, 5, 0),
        };
        assert_eq!(pace.text(&pace.first, SECOND, false, "; "), "");
        assert_eq!(pace.text(&pace.first, SECOND, true, "; "), "; after 1 s");
        let now = summary(4, 2, 9, 0);
        assert_eq!(
            pace.text(&now, 8 * SECOND, false, ", "),
            ", 0.5/s, 12 s left"
        );
        assert_eq!(
            pace.text(&now, 80 * SECOND, true, "; "),
            "; 3.0/min, after 1 min 20 s"
        );
        assert_eq!(counts(&now), "9 done, 0 failed, 2 running");
        let invalid = Summary { invalid: 3, ..now };
        assert_eq!(counts(&invalid), "9 done, 0 failed, 2 running, 3 invalid");
    }

    #[test]
    fn rates_and_times_have_the_unit_that_suits_them() {
        for (rate, text) in [
            (123_456.7, "123457/s"),
            (12.34, "12/s"),
            (9.87, "9.9/s"),
            (0.1, "0.1/s"),
            (0.05, "3.0/min"),
            (0.001, "3.6/h"),
        ] {
            assert_eq!(in_words_rate(rate), text);
        }
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3599, "59 min 59 s"),
            (3600, "1 h 0 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), text);
        }
    }
}
