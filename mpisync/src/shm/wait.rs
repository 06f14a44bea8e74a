//! How a rank waits: a short spin, then polls that let MPI make progress and give the core away,
//! then sleep.
//!
//! A sleeping rank lies on a process-shared futex for at most a millisecond at a time, so that a
//! wake-up which is missed costs a millisecond and nothing more, MPI makes progress in between, and
//! a rank that died is noticed.

use crate::shm::event::Event;
#[cfg(loom)]
pub(crate) use model::wait;
#[cfg(not(loom))]
pub(crate) use real::wait;
use std::time::{Duration, Instant};

/// What a waiting rank needs of the place it runs in.
pub(crate) trait Surroundings {
    /// Lets MPI make progress on what this rank has under way.
    fn progress(&self);

    /// This thread begins to call [`progress`](Self::progress) again and again, or ends that.
    fn poll_actively(&self, _begins: bool) {}

    /// How long a rank polls before it sleeps, where that is not what one node needs.
    fn spin_budget(&self) -> Option<Duration> {
        None
    }

    /// An error once it is known from another node that the lock cannot be had any more.
    fn check(&self) -> Result<(), Stop> {
        Ok(())
    }

    /// Whether the rank of this index on the node still runs.
    fn is_alive(&self, rank: usize) -> bool;
}

/// A place whose ranks poll longer than usual before they sleep, because what they wait for is
/// known to take its time.
pub(crate) struct WithSpinBudget<'a, S> {
    pub(crate) place: &'a S,
    pub(crate) spin_budget: Duration,
}

impl<S: Surroundings> Surroundings for WithSpinBudget<'_, S> {
    fn progress(&self) {
        self.place.progress();
    }

    fn poll_actively(&self, begins: bool) {
        self.place.poll_actively(begins);
    }

    fn spin_budget(&self) -> Option<Duration> {
        let usual = self.place.spin_budget().unwrap_or(POLL);
        Some(usual.max(self.spin_budget))
    }

    fn check(&self) -> Result<(), Stop> {
        self.place.check()
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.place.is_alive(rank)
    }
}

impl<M: Surroundings> Surroundings for &M {
    fn progress(&self) {
        (**self).progress();
    }

    fn poll_actively(&self, begins: bool) {
        (**self).poll_actively(begins);
    }

    fn spin_budget(&self) -> Option<Duration> {
        (**self).spin_budget()
    }

    fn check(&self) -> Result<(), Stop> {
        (**self).check()
    }

    fn is_alive(&self, rank: usize) -> bool {
        (**self).is_alive(rank)
    }
}

/// Why a wait ended without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The deadline passed.
    Timeout,
    /// The rank of this index on the node died, and what it held cannot be had any more.
    Died(usize),
    /// This rank, of any node, died, and what it held cannot be had any more.
    RankDied(u32),
}

/// How long a rank polls and yields before it sleeps.
pub(crate) const POLL: Duration = Duration::from_micros(20);
/// The same where what is waited for may come by message, and nothing wakes for that: a few round
/// trips of a slow network.
pub(crate) const ROUND_TRIPS: Duration = Duration::from_micros(500);
/// The first sleep; each next one is twice as long.
pub(crate) const FIRST_SLEEP: Duration = Duration::from_micros(50);
/// The longest sleep, and so the most that a missed wake-up costs.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(1);
/// How often a sleeper looks whether the ranks it waits for are still there.
pub(crate) const INSPECTION: Duration = Duration::from_millis(1);

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    Never,
    At(Instant),
    /// The model has no clock.
    #[cfg(loom)]
    Soon,
}

impl Deadline {
    /// The point in time `timeout` from now; never for one that lies beyond the clock's range.
    pub(crate) fn after(timeout: Duration) -> Self {
        Instant::now()
            .checked_add(timeout)
            .map_or(Deadline::Never, Deadline::At)
    }

    /// [`after`](Self::after) a limit; never without one.
    #[inline]
    pub(crate) fn within(limit: Option<Duration>) -> Self {
        limit.map_or(Deadline::Never, Deadline::after)
    }

    fn left(self, now: Instant) -> Duration {
        match self {
            Deadline::Never => Duration::MAX,
            Deadline::At(at) => at.saturating_duration_since(now),
            #[cfg(loom)]
            Deadline::Soon => Duration::ZERO,
        }
    }
}

/// Waits until `check` holds, which messages from other nodes bring about.
pub(crate) fn wait_for_network(surroundings: &impl Surroundings, check: impl Fn() -> bool) {
    let check = || check().then_some(());
    let waited = wait_for_answer(surroundings, Deadline::Never, check);
    debug_assert_eq!(waited, Ok(()), "there is no deadline");
}

/// Waits until `check` gives a value, which messages from other nodes bring about.
pub(crate) fn wait_for_answer<T>(
    surroundings: &impl Surroundings,
    deadline: Deadline,
    mut check: impl FnMut() -> Option<T>,
) -> Result<T, Stop> {
    let start = Instant::now();
    let mut polling = Some(ActivePolling::begin(surroundings));
    loop {
        surroundings.progress();
        if let Some(value) = check() {
            return Ok(value);
        }
        let now = Instant::now();
        let left = deadline.left(now);
        if left.is_zero() {
            return Err(Stop::Timeout);
        }
        if now - start < surroundings.spin_budget().unwrap_or(POLL) {
            std::thread::yield_now();
        } else {
            drop(polling.take());
            std::thread::sleep(FIRST_SLEEP.min(left));
        }
    }
}

/// Waits until `check` holds, which takes this thread's help all the time.
#[cfg(all(feature = "mpi", feature = "region"))]
pub(crate) fn wait_busily(surroundings: &impl Surroundings, mut check: impl FnMut() -> bool) {
    let _attendance = ActivePolling::begin(surroundings);
    while !check() {
        surroundings.progress();
        std::thread::yield_now();
    }
}

/// The time in which a thread polls so often that nobody else has to.
struct ActivePolling<'a, S: Surroundings>(&'a S);

impl<'a, S: Surroundings> ActivePolling<'a, S> {
    fn begin(surroundings: &'a S) -> Self {
        surroundings.poll_actively(true);
        ActivePolling(surroundings)
    }
}

impl<S: Surroundings> Drop for ActivePolling<'_, S> {
    fn drop(&mut self) {
        self.0.poll_actively(false);
    }
}

#[cfg(not(loom))]
mod real {
    use super::*;
    use crate::shm::atomic::Ordering;

    /// How often the condition is looked at before MPI and the scheduler come into it: about a
    /// microsecond.
    const SPINS: u32 = 40;
    /// Waits until `check` gives a value. `event` is what changes when it may do so. `inspect` is
    /// called about once a millisecond by a rank that waits long, to see whether the wait still
    /// makes sense.
    #[inline]
    pub(crate) fn wait<T, E: From<Stop>>(
        surroundings: &impl Surroundings,
        event: Event<'_>,
        deadline: Deadline,
        mut check: impl FnMut() -> Option<T>,
        inspect: impl FnMut() -> Result<(), E>,
    ) -> Result<T, E> {
        for _ in 0..SPINS {
            if let Some(value) = check() {
                return Ok(value);
            }
            std::hint::spin_loop();
        }
        wait_long(surroundings, event, deadline, check, inspect)
    }

    #[cold]
    fn wait_long<T, E: From<Stop>>(
        surroundings: &impl Surroundings,
        event: Event<'_>,
        deadline: Deadline,
        mut check: impl FnMut() -> Option<T>,
        mut inspect: impl FnMut() -> Result<(), E>,
    ) -> Result<T, E> {
        let start = Instant::now();
        let mut inspected = start;
        let mut sleep_time = FIRST_SLEEP;
        let mut sleep_announced = false;
        let mut polling = Some(ActivePolling::begin(surroundings));
        loop {
            surroundings.progress();
            if sleep_announced {
                event.announce_sleeper();
            }
            let seen = event.word.load(Ordering::Acquire);
            if let Some(value) = check() {
                return Ok(value);
            }
            let now = Instant::now();
            let left = deadline.left(now);
            if left.is_zero() {
                return Err(Stop::Timeout.into());
            }
            if now - start < surroundings.spin_budget().unwrap_or(POLL) {
                std::thread::yield_now();
                continue;
            }
            if now - inspected >= INSPECTION {
                inspected = now;
                inspect()?;
            }
            drop(polling.take());
            if sleep_announced {
                event.sleep(seen, sleep_time.min(left));
                sleep_time = (sleep_time * 2).min(LONGEST_SLEEP);
            }
            sleep_announced = true;
        }
    }
}

#[cfg(loom)]
mod model {
    use super::{Deadline, Event, Stop, Surroundings};

    /// The wait that the model explores: it inspects once, and sleeps until it is woken.
    pub(crate) fn wait<T, E: From<Stop>>(
        _surroundings: &impl Surroundings,
        event: Event<'_>,
        deadline: Deadline,
        mut check: impl FnMut() -> Option<T>,
        mut inspect: impl FnMut() -> Result<(), E>,
    ) -> Result<T, E> {
        if let Some(value) = check() {
            return Ok(value);
        }
        inspect()?;
        match deadline {
            Deadline::At(_) | Deadline::Soon => check().ok_or_else(|| Stop::Timeout.into()),
            Deadline::Never => Ok(event.sleep_until(check)),
        }
    }
}
