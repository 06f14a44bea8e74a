//! How a state directory is used.

use crate::batch::directory::DirectoryError;
use std::time::Duration;

/// How a directory is used. Must be the same in all jobs that use it.
///
/// ```
/// use mpisync::batch::directory::Options;
/// use std::time::{Duration, SystemTime};
///
/// let options = Options::default().durable(false).stale_after(Duration::from_secs(30));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    pub(super) durable: bool,
    pub(super) stale_after: Duration,
    /// The most times that a task is begun.
    pub(super) tries: Option<u32>,
    /// After what time a claim gets no more heartbeats.
    pub(super) task_timeout: Option<Duration>,
}

impl Options {
    /// The shortest time after which a job can be taken for dead. The times of files have a
    /// resolution of some milliseconds, and the threads that give heartbeats may wake up late.
    pub const LEAST_STALE_AFTER: Duration = Duration::from_millis(10);

    pub(super) fn check(&self) -> Result<(), DirectoryError> {
        let (time, least) = (self.stale_after, Self::LEAST_STALE_AFTER);
        match time >= least {
            true => Ok(()),
            false => Err(DirectoryError::StaleAfter { time, least }),
        }
    }

    /// Sets whether states are on disk before a call returns, so that they survive a failure of the
    /// machine. Defaults to true.
    ///
    /// Without it each task costs less, which matters for tasks of a tenth of a second.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets the time without a heartbeat after which a job is taken for dead, so that others take
    /// over its tasks. Defaults to 2 minutes.
    ///
    /// Jobs give a heartbeat four times as often. The time should be longer than the file system
    /// ever hangs, and longer than it may cache the attributes of files (a minute with NFS).
    /// Opening a directory with less than [`LEAST_STALE_AFTER`](Self::LEAST_STALE_AFTER) is an
    /// error.
    pub fn stale_after(mut self, time: Duration) -> Self {
        self.stale_after = time;
        self
    }

    /// Sets [`BatchBuilder::tries`](crate::batch::BatchBuilder::tries) and
    /// [`task_timeout`](crate::batch::BatchBuilder::task_timeout).
    pub(crate) fn limits(mut self, tries: Option<u32>, task_timeout: Option<Duration>) -> Self {
        (self.tries, self.task_timeout) = (tries, task_timeout);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            durable: true,
            stale_after: Duration::from_secs(120),
            tries: None,
            task_timeout: None,
        }
    }
}
