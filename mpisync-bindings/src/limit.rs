//! How long a call may wait.

use crate::failure::Failure;
use std::time::Duration;

/// How long a call may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Not at all, except for answers of other hosts.
    Try,
    /// For so long.
    For(Duration),
}

impl Limit {
    /// As long as it takes.
    pub const NEVER: Self = Limit::For(Duration::MAX);

    /// How long to wait for a lock.
    pub fn duration(self) -> Duration {
        match self {
            Limit::Try => Duration::ZERO,
            Limit::For(limit) => limit,
        }
    }

    /// How long to wait for a lock for writing. Over several nodes a free one takes round trips, too, for
    /// which a try waits as long as `WindowController::try_write` does.
    pub fn for_writing(self, nodes: i32) -> Duration {
        match self {
            Limit::Try if nodes > 1 => Duration::from_millis(50),
            _ => self.duration(),
        }
    }
}

/// A time limit in seconds.
///
/// # Errors
/// [`Kind::Argument`](crate::failure::Kind::Argument) if it is negative or not a number.
pub fn limit(seconds: f64) -> Result<Duration, Failure> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(Failure::argument(format!(
            "`seconds` is {seconds}; pass 0 or more, or INFINITY to wait without a limit"
        )));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_seconds() {
        assert_eq!(limit(0.25).ok(), Some(Duration::from_millis(250)));
        assert_eq!(limit(0.0).ok(), Some(Duration::ZERO));
        assert_eq!(limit(f64::INFINITY).ok(), Some(Duration::MAX));
        assert_eq!(limit(1e300).ok(), Some(Duration::MAX));
        assert!(limit(-1.0).is_err());
        assert!(limit(f64::NAN).is_err());
    }

    #[test]
    fn a_try_has_time_for_round_trips_only() {
        assert_eq!(Limit::Try.for_writing(1), Duration::ZERO);
        assert_eq!(Limit::Try.for_writing(2), Duration::from_millis(50));
        let limit = Duration::from_secs(3);
        assert_eq!(Limit::For(limit).for_writing(1), limit);
        assert_eq!(Limit::For(limit).for_writing(2), limit);
    }
}
