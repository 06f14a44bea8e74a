//! How fast a batch gets on, from the times of its tasks' states.

use crate::look::Look;
use mpisync::batch::State;
use std::time::Duration;

/// The tasks that ended in this time count.
const RECENT: Duration = Duration::from_secs(60);
/// If these are fewer, that many of those that ended last count.
const LEAST: usize = 100;
/// But none that ended before this time.
const LONGEST: Duration = Duration::from_secs(3600);

/// A shorter time says nothing.
const SHORTEST: Duration = Duration::from_secs(1);

/// How fast tasks ended lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Tasks a minute.
    pub rate: f64,
    /// In which time.
    pub within: Duration,
    /// The time until no work is left; unknown if no task runs.
    pub left: Option<Duration>,
}

impl Pace {
    /// None if too few tasks ended lately for a rate, or no work is left.
    pub fn of(look: &Look) -> Option<Self> {
        if look.summary.is_over() {
            return None;
        }
        let ended = [State::Done, State::Failed];
        let tasks = look.tasks.iter().enumerate();
        let ages = tasks.filter_map(|(task, seen)| {
            let age = look.age(task)?;
            (ended.contains(&seen.state) && age <= LONGEST).then_some(age)
        });
        let (rate, within) = rate(ages.collect())?;
        let seconds = look.summary.left() as f64 / rate * 60.0;
        let left = (look.summary.running > 0).then(|| Duration::try_from_secs_f64(seconds).ok());
        Some(Pace {
            rate,
            within,
            left: left.flatten(),
        })
    }
}

/// The rate of these ages, and the time that it is of. The first one only begins that time.
fn rate(mut ages: Vec<Duration>) -> Option<(f64, Duration)> {
    ages.sort_unstable();
    let recent = ages.partition_point(|age| *age <= RECENT);
    let count = recent.max(LEAST + 1).min(ages.len());
    let within = ages[..count].last().copied()?;
    let rate = (count - 1) as f64 / within.as_secs_f64() * 60.0;
    (count > 1 && within >= SHORTEST).then_some((rate, within))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ages(count: u64, apart: f64) -> Vec<Duration> {
        let ages = 0..count;
        ages.map(|age| Duration::from_secs_f64(age as f64 * apart))
            .collect()
    }

    fn is_near(found: Option<(f64, Duration)>, expected: f64) {
        let (rate, _) = found.expect("there is a rate");
        assert!((rate / expected - 1.0).abs() < 0.001, "{rate}");
    }

    #[test]
    fn a_rate_is_that_of_the_last_tasks() {
        assert_eq!(rate(ages(0, 1.0)), None);
        assert_eq!(rate(ages(1, 1.0)), None);
        assert_eq!(rate(vec![Duration::ZERO; 7]), None);
        assert_eq!(rate(ages(10, 0.1)), None);
        is_near(rate(ages(3, 10.0)), 6.0);
        // Many in the last minute: all of them.
        is_near(rate(ages(10_000, 0.01)), 6000.0);
        // A hundred at least, and not those of before.
        let mut mixed = ages(101, 5.0);
        mixed.extend(vec![Duration::from_secs(3000); 500]);
        is_near(rate(mixed), 12.0);
    }

    #[test]
    fn a_batch_that_stands_still_becomes_slower() {
        let late: Vec<Duration> = ages(101, 1.0)
            .into_iter()
            .map(|age| age + Duration::from_secs(900))
            .collect();
        is_near(rate(late), 6.0);
    }
}
