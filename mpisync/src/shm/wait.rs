//! How a rank waits: it spins for a short time, then polls, which lets MPI make progress and yields
//! the core, then sleeps.
//!
//! A rank sleeps on a process-shared futex for at most a millisecond at a time. So a missed wake-up
//! costs at most a millisecond, MPI makes progress in between, and the death of a rank is noticed.
//! Ranks that are threads sleep longer if there are many for each core: short sleeps of all of them
//! would take all cores.

use crate::shm::absence::{Absence, HostLoss};
use crate::shm::block::Block;
pub(crate) use crate::shm::machine::wait;
use crate::shm::waiting::{Call, Watch};
use crate::span::Outcome;
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

    /// How long a rank sleeps at most before it looks again.
    fn longest_sleep(&self) -> Duration {
        LONGEST_SLEEP
    }

    /// An error once another node has reported that the lock cannot be acquired any more.
    fn check(&self) -> Result<(), Stop> {
        Ok(())
    }

    /// An error once a host is lost that an object spans. Its waits end then: what they wait for
    /// might have to come from there.
    fn check_hosts(&self) -> Result<(), Stop> {
        Ok(())
    }

    /// Whether the rank of this index on the node is alive.
    fn is_alive(&self, rank: usize) -> bool;

    /// Whether the rank of this index on the node has ended.
    fn has_ended(&self, _rank: usize) -> bool {
        false
    }
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

    fn longest_sleep(&self) -> Duration {
        self.place.longest_sleep()
    }

    fn check(&self) -> Result<(), Stop> {
        self.place.check()
    }

    fn check_hosts(&self) -> Result<(), Stop> {
        self.place.check_hosts()
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.place.is_alive(rank)
    }

    fn has_ended(&self, rank: usize) -> bool {
        self.place.has_ended(rank)
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

    fn longest_sleep(&self) -> Duration {
        (**self).longest_sleep()
    }

    fn check(&self) -> Result<(), Stop> {
        (**self).check()
    }

    fn check_hosts(&self) -> Result<(), Stop> {
        (**self).check_hosts()
    }

    fn is_alive(&self, rank: usize) -> bool {
        (**self).is_alive(rank)
    }

    fn has_ended(&self, rank: usize) -> bool {
        (**self).has_ended(rank)
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
    /// The rank of this index on the node has ended and still holds what is waited for.
    Ended(usize),
    /// The same, of any node.
    RankEnded(u32),
    /// The wait cannot end without this rank, which will not come.
    Absent(u32, Absence),
    /// A host that the object spans cannot be reached any more.
    HostLost(HostLoss),
    /// No rank is left that could end the wait.
    Alone,
    /// The lock recovers from the death of a rank; the call has to begin anew.
    Again,
    /// The wait is a part of a deadlock, see [`Stop::into_error`].
    Deadlock,
    /// The program has asked the thread to give up its waits.
    Interrupted,
}

impl Stop {
    /// The reason of a wait that has no deadline, and waits for no rank in particular.
    pub(crate) fn expect_host_loss(self) -> HostLoss {
        match self {
            Stop::HostLost(loss) => loss,
            stop => unreachable!("it waits for no rank, and has no deadline: {stop:?}"),
        }
    }
}

/// How long a rank polls and yields before it sleeps.
pub(crate) const POLL: Duration = Duration::from_micros(20);
/// The same if the wait may end by a message, which wakes no sleeper: a few round trips of a slow
/// network.
pub(crate) const ROUND_TRIPS: Duration = Duration::from_micros(500);
/// The first sleep; each further one is twice as long.
pub(crate) const FIRST_SLEEP: Duration = Duration::from_micros(50);
/// The longest sleep of ranks that have cores, and so the most that a missed wake-up costs.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(1);
/// How often a sleeper checks whether the ranks that it waits for are alive.
pub(crate) const INSPECTION: Duration = Duration::from_millis(1);

/// When to give up, and which call waits.
#[derive(Clone, Copy)]
pub(crate) struct Deadline<'a> {
    at: Option<Instant>,
    call: Option<Call<'a>>,
    /// Whether the wait ends soon, though without a time limit.
    is_short: bool,
}

impl<'a> Deadline<'a> {
    /// No time limit, in a call that does not describe itself.
    pub(crate) const NEVER: Self = Deadline {
        at: None,
        call: None,
        is_short: false,
    };

    /// The time `timeout` from now; never if that lies beyond the range of the clock.
    pub(crate) fn after(timeout: Duration) -> Self {
        Deadline {
            at: Instant::now().checked_add(timeout),
            call: None,
            is_short: false,
        }
    }

    /// [`after`](Self::after) the limit; never without one.
    #[inline]
    pub(crate) fn within(limit: Option<Duration>) -> Self {
        limit.map_or(Deadline::NEVER, Deadline::after)
    }

    /// The same time, in this call.
    #[inline]
    pub(crate) fn of(self, call: Call<'a>) -> Self {
        Deadline {
            call: Some(call),
            ..self
        }
    }

    /// The same call without a time limit, for a wait that ends soon.
    pub(crate) fn extended(self) -> Self {
        Deadline {
            at: None,
            is_short: true,
            ..self
        }
    }

    pub(crate) fn is_never(self) -> bool {
        self.at.is_none()
    }

    pub(super) fn left(self, now: Instant) -> Duration {
        (self.at).map_or(Duration::MAX, |at| at.saturating_duration_since(now))
    }

    /// Watches a wait of the call, which has begun at `start`.
    pub(super) fn watch(self, start: Instant) -> Watch<'a> {
        let call = match self.is_short {
            true => self.call.map(Call::without_failing),
            false => self.call,
        };
        Watch::new(call, self.is_never() && !self.is_short, start)
    }
}

/// Waits until `check` returns a value, which takes messages from other nodes. `name` says what is
/// waited for.
///
/// # Errors
/// If a host is lost.
pub(crate) fn wait_for_network<T>(
    block: &Block,
    name: &'static str,
    check: impl FnMut() -> Option<T>,
) -> Result<T, HostLoss> {
    let nobody = block.awaits(Vec::new);
    let deadline = Deadline::NEVER.of(Call::internal(&nobody, name));
    wait_for_answer(block, deadline, check).map_err(Stop::expect_host_loss)
}

/// Waits until `check` returns a value, which takes messages from other nodes.
pub(crate) fn wait_for_answer<T>(
    surroundings: &impl Surroundings,
    deadline: Deadline<'_>,
    mut check: impl FnMut() -> Option<T>,
) -> Result<T, Stop> {
    let start = Instant::now();
    let mut watch = deadline.watch(start);
    let mut polling = Some(ActivePolling::begin(surroundings));
    loop {
        surroundings.progress();
        if let Some(value) = check() {
            watch.end(Outcome::Success);
            return Ok(value);
        }
        let now = Instant::now();
        let left = deadline.left(now);
        if left.is_zero() {
            watch.end(Outcome::Timeout);
            return Err(Stop::Timeout);
        }
        if now - start < surroundings.spin_budget().unwrap_or(POLL) {
            std::thread::yield_now();
        } else {
            drop(polling.take());
            surroundings.check_hosts()?;
            watch.tick(now)?;
            std::thread::sleep(FIRST_SLEEP.min(left));
        }
    }
}

/// Waits until `check` holds, and polls without a pause: the transfer needs this thread. `name` says
/// what is waited for.
///
/// # Errors
/// If a host is lost.
pub(crate) fn wait_busily(
    block: &Block,
    name: &'static str,
    mut check: impl FnMut() -> bool,
) -> Result<(), HostLoss> {
    let _polling = ActivePolling::begin(block);
    let nobody = block.awaits(Vec::new);
    let call = Call::internal(&nobody, name);
    let mut watch = Watch::new(Some(call), true, Instant::now());
    while !check() {
        block.progress();
        block.check_hosts().map_err(Stop::expect_host_loss)?;
        let ticked = watch.tick(Instant::now());
        debug_assert!(ticked.is_ok(), "the call cannot fail");
        std::thread::yield_now();
    }
    watch.end(Outcome::Success);
    Ok(())
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
