//! The rate, the time left, and their texts.

use crate::batch::Summary;
use std::time::Duration;

/// The rate since the progress began. Tasks that were done before do not count, so that the rate is
/// right in a job that continues another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) first: Summary,
}

impl Pace {
    /// The number of tasks that ended in a second; `None` as long as none has ended.
    pub(super) fn rate(&self, now: &Summary, elapsed: Duration) -> Option<f64> {
        // Each on its own: a task that had failed and is done now has been run. An invalid one has
        // not.
        let done = now.done.saturating_sub(self.first.done);
        let failed = now.failed.saturating_sub(self.first.failed);
        let rate = (done + failed) as f64 / elapsed.as_secs_f64();
        (rate.is_finite() && rate > 0.0).then_some(rate)
    }

    /// The time that the other tasks will take at that rate.
    pub(super) fn time_left(&self, now: &Summary, elapsed: Duration) -> Option<Duration> {
        let left = (now.open + now.running) as f64;
        Duration::try_from_secs_f64(left / self.rate(now, elapsed)?).ok()
    }

    /// The rate and the time left, or with `is_last` the time that has passed. Begins with
    /// `separator` unless it is empty.
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

/// The counts of tasks, except of open ones, which are the rest of the total.
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

/// The counts of tasks with which something is wrong. Begins with a separator unless it is empty.
pub(super) fn troubles(now: &Summary) -> String {
    let counts = [(now.failed, "failed"), (now.invalid, "invalid")];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    counts
        .map(|(count, what)| format!(", {count} {what}"))
        .collect()
}

pub(super) fn in_words_rate(rate: f64) -> String {
    /// The smallest value that is not 0 with one decimal.
    const LEAST: f64 = 0.1;
    match rate {
        10.0.. => format!("{rate:.0}/s"),
        LEAST.. => format!("{rate:.1}/s"),
        _ if rate * 60.0 >= LEAST => format!("{:.1}/min", rate * 60.0),
        _ => format!("{:.1}/h", rate * 3600.0),
    }
}

/// The time in its two largest units.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}
