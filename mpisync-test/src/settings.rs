//! The environment variables that the tests read. None begins with `MPISYNC_`: those belong to the library, which checks
//! their names.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::TestError;

/// The time limit of each test, in seconds; 0 for none.
const LIMIT: &str = "TEST_MPI_LIMIT";
/// What a test does on a machine without a launcher.
const MISSING: &str = "TEST_MPI_MISSING";
/// The directory of the job; set for its ranks.
pub(crate) const JOB: &str = "TEST_MPI_JOB";

/// The time limit unless the test or the environment sets another.
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// What the person who runs the tests has chosen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The time limit of a test; none if it may take as long as it likes.
    pub(crate) limit: Option<Duration>,
    /// Whether a test passes that cannot be started because there is no launcher.
    pub(crate) skip_if_missing: bool,
}

impl Settings {
    /// Those of a test with this limit of its own, in seconds.
    pub(crate) fn read(own_limit: Option<f64>) -> Result<Self, TestError> {
        Self::from(own_limit, |name| env::var(name).ok())
    }

    fn from(
        own_limit: Option<f64>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, TestError> {
        let value = |name| variable(name).filter(|value| !value.is_empty());
        let wrong = |variable, value: &str, expected| TestError::Setting {
            variable,
            value: value.to_owned(),
            expected,
        };
        let duration = |seconds| Duration::try_from_secs_f64(seconds).ok();
        let limit = match value(LIMIT) {
            Some(text) => {
                let limit = text.trim().parse().ok().and_then(duration);
                let expected = "a number of seconds, or 0 for no limit";
                let limit = limit.ok_or_else(|| wrong(LIMIT, &text, expected))?;
                (!limit.is_zero()).then_some(limit)
            }
            // The macro accepts positive numbers only; one beyond all times is no limit.
            None => own_limit.map_or(Some(DEFAULT_LIMIT), duration),
        };
        let skip_if_missing = match value(MISSING).as_deref() {
            None | Some("fail") => false,
            Some("skip") => true,
            Some(other) => return Err(wrong(MISSING, other, "`fail` or `skip`")),
        };
        Ok(Self {
            limit,
            skip_if_missing,
        })
    }
}

/// The directory of the job that this process is a rank of.
pub(crate) fn job() -> Option<PathBuf> {
    env::var_os(JOB).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(own: Option<f64>, limit: &str, missing: &str) -> Result<Settings, TestError> {
        Settings::from(own, |name| match name {
            LIMIT => Some(limit.to_owned()),
            _ => Some(missing.to_owned()),
        })
    }

    #[test]
    fn the_environment_decides_before_the_test() {
        let limit = |own, limit| read(own, limit, "").unwrap().limit;
        assert_eq!(limit(None, ""), Some(DEFAULT_LIMIT));
        assert_eq!(limit(Some(2.5), ""), Some(Duration::from_millis(2500)));
        assert_eq!(limit(Some(2.5), "7"), Some(Duration::from_secs(7)));
        assert_eq!(limit(Some(2.5), "0"), None);
        assert!(read(None, "", "skip").unwrap().skip_if_missing);
        assert!(!read(None, "", "fail").unwrap().skip_if_missing);
    }

    #[test]
    fn another_value_is_an_error_that_names_the_right_ones() {
        let error = read(None, "soon", "").unwrap_err().to_string();
        let text =
            "TEST_MPI_LIMIT is \"soon\", but has to be a number of seconds, or 0 for no limit";
        assert_eq!(error, text);
        let error = read(None, "", "no").unwrap_err().to_string();
        assert!(error.ends_with("`fail` or `skip`"), "{error}");
    }
}
