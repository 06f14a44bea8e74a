//! The end of a batch before all of its tasks are done.

use crate::batch::{Batch, BatchError};
#[cfg(feature = "mpi")]
use crate::shm::signal::SignalWatch;
use std::cell::{Cell, RefCell};
use std::fmt;
#[cfg(feature = "mpi")]
use std::io;
use std::time::{Duration, Instant};

/// When a batch stops: its workers end the tasks that they have, and take no more.
///
/// Passed to [`BatchBuilder::stop_on`](super::BatchBuilder::stop_on), by any rank.
///
/// ```
/// use mpisync::Batch;
/// use mpisync::batch::{StopCause, StopOn};
/// use std::time::Duration;
///
/// // Ten minutes before the job's time limit of an hour.
/// let end = StopOn::after(Duration::from_secs(50 * 60));
/// let file = StopOn::when(|| std::path::Path::new("/nowhere/stop").exists());
/// let mut batch = Batch::local().tasks(10).stop_on(end).stop_on(file).build()?;
/// let summary = batch.for_each(|task, _worker| {
///     if task.index() == 3 {
///         task.batch().stop();
///     }
///     Ok::<(), String>(())
/// })?;
/// assert_eq!((summary.done, summary.left()), (4, 6));
/// assert_eq!(batch.stopped()?.map(|stopped| stopped.cause), Some(StopCause::Call));
/// # Ok::<(), mpisync::batch::BatchError>(())
/// ```
pub struct StopOn(Condition);

enum Condition {
    #[cfg(feature = "mpi")]
    Signal(SignalWatch),
    /// None for never.
    At(Option<Instant>),
    When(Box<dyn FnMut() -> bool>),
}

impl StopOn {
    /// When this process gets a signal, by its number, from this call on: 15 is `SIGTERM`, which
    /// batch systems send some time before they kill a job.
    ///
    /// The handler only counts. It replaces the signal's default action, calls a handler function
    /// that was there before, and is removed when the batch is dropped. A signal that only one rank
    /// gets stops the batch on all. Only with the feature `mpi`.
    ///
    /// # Errors
    /// Those of `sigaction`, for `SIGKILL` for example; [`InvalidInput`](io::ErrorKind::InvalidInput)
    /// for signals that report an error of the program, such as `SIGSEGV`.
    ///
    /// ```
    /// use mpisync::Batch;
    /// use mpisync::batch::StopOn;
    ///
    /// let batch = Batch::local().tasks(10).stop_on(StopOn::signal(15)?).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "mpi")]
    pub fn signal(number: i32) -> io::Result<Self> {
        SignalWatch::new(number).map(|watch| StopOn(Condition::Signal(watch)))
    }

    /// At this time.
    pub fn at(time: Instant) -> Self {
        StopOn(Condition::At(Some(time)))
    }

    /// When this much time has passed since this call.
    pub fn after(time: Duration) -> Self {
        StopOn(Condition::At(Instant::now().checked_add(time)))
    }

    /// When the closure returns true. This rank calls it when it takes a task, and about every
    /// millisecond while it waits for one; it should return soon.
    pub fn when(condition: impl FnMut() -> bool + 'static) -> Self {
        StopOn(Condition::When(Box::new(condition)))
    }

    fn is_due(&mut self) -> Option<StopCause> {
        let (is_due, cause) = match &mut self.0 {
            #[cfg(feature = "mpi")]
            Condition::Signal(watch) => (watch.has_come(), StopCause::Signal(watch.number())),
            Condition::At(time) => {
                let is_due = time.is_some_and(|time| Instant::now() >= time);
                (is_due, StopCause::Time)
            }
            Condition::When(condition) => (condition(), StopCause::Condition),
        };
        is_due.then_some(cause)
    }
}

impl fmt::Debug for StopOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            #[cfg(feature = "mpi")]
            Condition::Signal(watch) => write!(f, "StopOn::signal({})", watch.number()),
            Condition::At(time) => f.debug_tuple("StopOn::at").field(time).finish(),
            Condition::When(_) => f.write_str("StopOn::when(…)"),
        }
    }
}

/// Why a batch takes no more tasks; see [`Batch::stopped`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// The rank that was the first to have a reason.
    pub rank: i32,
    /// Its reason.
    pub cause: StopCause,
}

/// The reason of a rank to stop a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StopCause {
    /// [`StopOn::signal`]: the signal of this number.
    Signal(i32),
    /// [`StopOn::at`] or [`StopOn::after`].
    Time,
    /// [`StopOn::when`].
    Condition,
    /// [`Batch::stop`].
    Call,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = self.rank;
        match self.cause {
            StopCause::Signal(number) => write!(f, "rank {rank} got the signal {number}"),
            StopCause::Time => write!(f, "the time was up on rank {rank}"),
            StopCause::Condition => write!(f, "the condition of rank {rank} was met"),
            StopCause::Call => write!(f, "rank {rank} called `stop`"),
        }
    }
}

impl Stopped {
    const SIGNAL: u64 = 1;
    const TIME: u64 = 2;
    const CONDITION: u64 = 3;
    const CALL: u64 = 4;

    /// As a word of the table, which is not 0: the rank, the signal and the kind.
    fn word(self) -> u64 {
        let kind = match self.cause {
            StopCause::Signal(number) => (number as u64 & 0xff) << 8 | Self::SIGNAL,
            StopCause::Time => Self::TIME,
            StopCause::Condition => Self::CONDITION,
            StopCause::Call => Self::CALL,
        };
        u64::from(self.rank as u32) << 32 | kind
    }

    fn of_word(word: u64) -> Option<Self> {
        let cause = match word & 0xff {
            Self::SIGNAL => StopCause::Signal((word >> 8 & 0xff) as i32),
            Self::TIME => StopCause::Time,
            Self::CONDITION => StopCause::Condition,
            Self::CALL => StopCause::Call,
            _ => return None,
        };
        let rank = (word >> 32) as i32;
        Some(Stopped { rank, cause })
    }
}

/// The conditions of this rank.
#[derive(Debug, Default)]
pub(super) struct Stops {
    conditions: RefCell<Vec<StopOn>>,
    /// Whether one was met. The handlers of signals stay: a further one must not end the process
    /// while tasks end.
    is_met: Cell<bool>,
}

impl Stops {
    pub(super) fn new(conditions: Vec<StopOn>) -> Self {
        Stops {
            conditions: RefCell::new(conditions),
            is_met: Cell::new(false),
        }
    }

    /// The first condition that is met, once.
    #[inline]
    fn due(&self) -> Option<StopCause> {
        if self.is_met.get() {
            return None;
        }
        let cause = (self.conditions.borrow_mut().iter_mut()).find_map(StopOn::is_due)?;
        self.is_met.set(true);
        Some(cause)
    }
}

impl Batch {
    /// Stops the batch on all ranks: workers end the tasks that they have, and take no more. Not
    /// collective. Calls after the first have no effect.
    pub fn stop(&self) {
        self.stop_for(StopCause::Call);
    }

    /// Why the batch takes no more tasks; `None` unless a condition of
    /// [`stop_on`](super::BatchBuilder::stop_on) was met or a rank called [`stop`](Self::stop). Not
    /// collective.
    ///
    /// # Errors
    /// [`LockError::Finalized`](crate::LockError::Finalized).
    pub fn stopped(&self) -> Result<Option<Stopped>, BatchError> {
        self.object.check_usable()?;
        Ok(Stopped::of_word(self.table.stopped(&self.object)?))
    }

    fn stop_for(&self, cause: StopCause) {
        if self.object.check_usable().is_ok() {
            let rank = self.rank();
            self.table.stop(Stopped { rank, cause }.word());
        }
    }

    /// Stops the batch if a condition of this rank is met.
    #[inline]
    pub(super) fn check_stops(&self) {
        if let Some(cause) = self.stops.due() {
            self.stop_for(cause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_the_reason() {
        let causes = [
            StopCause::Signal(15),
            StopCause::Signal(64),
            StopCause::Time,
            StopCause::Condition,
            StopCause::Call,
        ];
        for cause in causes {
            for rank in [0, 1, 100_000] {
                let stopped = Stopped { rank, cause };
                assert_eq!(Stopped::of_word(stopped.word()), Some(stopped));
            }
        }
        assert_eq!(Stopped::of_word(0), None);
    }
}
