//! How a rank waits: it spins for a short time, then polls, which lets MPI make progress and yields
//! the core, then sleeps.
//!
//! A rank sleeps on a process-shared futex for at most a millisecond at a time. So a missed wake-up
//! costs at most a millisecond, MPI makes progress in between, and the death of a rank is noticed.

pub(crate) use crate::shm::machine::wait;
use std::time::{Duration, Instant};

/// The operations and the information that a waiting rank needs in addition to its condition.
pub(crate) trait Surroundings {
    /// Lets MPI make progress on what this rank has under way.
    fn progress(&self);

    /// This thread begins to call [`progress`](Self::progress) in a loop, or ends the loop.
    fn poll_actively(&self, _begins: bool) {}

    /// How long a rank polls before it sleeps, if not as long as on one node.
    fn spin_budget(&self) -> Option<Duration> {
        None
    }

    /// An error once another node has reported that the lock cannot be acquired any more.
    fn check(&self) -> Result<(), Stop> {
        Ok(())
    }

    /// Whether the rank of this index on the node is alive.
    fn is_alive(&self, rank: usize) -> bool;
}

/// Surroundings whose ranks poll longer than usual before they sleep, because the wait is known to
/// be long.
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

/// Why a wait ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The deadline passed.
    Timeout,
    /// The rank of this index on the node died, and what it held cannot be acquired any more.
    Died(usize),
    /// This rank, of any node, died, and what it held cannot be acquired any more.
    RankDied(u32),
}

/// How long a rank polls and yields before it sleeps.
pub(crate) const POLL: Duration = Duration::from_micros(20);
/// The same if the wait may end by a message, which wakes no sleeper: a few round trips of a slow
/// network.
pub(crate) const ROUND_TRIPS: Duration = Duration::from_micros(500);
/// The first sleep; each further one is twice as long.
pub(crate) const FIRST_SLEEP: Duration = Duration::from_micros(50);
/// The longest sleep, and so the most that a missed wake-up costs.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(1);
/// How often a sleeper checks whether the ranks that it waits for are alive.
pub(crate) const INSPECTION: Duration = Duration::from_millis(1);

/// The time at which to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    Never,
    At(Instant),
}

impl Deadline {
    /// The time `timeout` from now; never if that lies beyond the range of the clock.
    pub(crate) fn after(timeout: Duration) -> Self {
        Instant::now()
            .checked_add(timeout)
            .map_or(Deadline::Never, Deadline::At)
    }

    /// [`after`](Self::after) the limit; never without one.
    #[inline]
    pub(crate) fn within(limit: Option<Duration>) -> Self {
        limit.map_or(Deadline::Never, Deadline::after)
    }

    pub(super) fn left(self, now: Instant) -> Duration {
        match self {
            Deadline::Never => Duration::MAX,
            Deadline::At(at) => at.saturating_duration_since(now),
        }
    }
}

/// Waits until `check` holds, which takes messages from other nodes.
pub(crate) fn wait_for_network(surroundings: &impl Surroundings, check: impl Fn() -> bool) {
    let check = || check().then_some(());
    let waited = wait_for_answer(surroundings, Deadline::Never, check);
    debug_assert_eq!(waited, Ok(()), "there is no deadline");
}

/// Waits until `check` returns a value, which takes messages from other nodes.
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

/// Waits until `check` holds, and polls without a pause: the transfer needs this thread.
pub(crate) fn wait_busily(surroundings: &impl Surroundings, mut check: impl FnMut() -> bool) {
    let _polling = ActivePolling::begin(surroundings);
    while !check() {
        surroundings.progress();
        std::thread::yield_now();
    }
}

/// While this exists, the thread polls so often that no other thread has to.
pub(super) struct ActivePolling<'a, S: Surroundings>(&'a S);

impl<'a, S: Surroundings> ActivePolling<'a, S> {
    pub(super) fn begin(surroundings: &'a S) -> Self {
        surroundings.poll_actively(true);
        ActivePolling(surroundings)
    }
}

impl<S: Surroundings> Drop for ActivePolling<'_, S> {
    fn drop(&mut self) {
        self.0.poll_actively(false);
    }
}
